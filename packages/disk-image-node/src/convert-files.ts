import path from 'node:path';
import type {
  ByteSink,
  Checkpoint,
  ConversionCheckpoints,
  ConversionPlan,
  ConversionResult,
  DiskImage,
  GivenOptions,
  LaneTarget,
  PlannedConversion,
  ProgressListener,
  TargetPlan,
  WorkMap,
  ZeroRule,
} from '@diskmorph/disk-image';
import { assert, CHECKPOINT_INTERVAL, convert, ImageError, planConversion, unseenPlan } from '@diskmorph/disk-image';
import { checkpointFile, planDigest, removeCheckpoint } from './checkpoint-files.ts';
import { refuseDataBomb } from './data-ratio.ts';
import { verifyFile } from './digest-file.ts';
import { fileRunSpool } from './file-run-spool.ts';
import { cachedSink, openFileSink } from './file-sink.ts';
import { copyingWork } from './guest-work.ts';
import type { ImageFile } from './image-file.ts';
import { openForWork, requireFormat } from './image-file.ts';
import type { ChecksumName, Checksums } from './checksum-span.ts';
import type { LaneChoice } from './lane-count.ts';
import { lanesFor } from './lane-count.ts';
import { encoderFor } from './layout-encoder.ts';
import { nodeCodecs } from './native-codecs.ts';
import { systemCalls } from './system-calls.ts';
import type { ChecksummedFile, TargetChecksums } from './target-checksums.ts';
import { targetChecksums } from './target-checksums.ts';
import type { BaseFile, OpenBase } from './target-base.ts';
import { closeBases, openBases } from './target-base.ts';
import type { Durability, WorkDirectory } from './work-directory.ts';
import { durableWorkDirectory, isDevice, placeToWork, refuseExisting } from './work-directory.ts';
import { copyLanes } from './worker-lanes.ts';
import type { WrittenFile } from './written-file.ts';
import { writtenFile } from './written-file.ts';

/** Bytes of data. With less, a pipe and its many small calls take longer than reading and writing. */
const WORTH_COPYING_UNSEEN = 128 * 2 ** 20;

/** An image to write. */
export interface TargetFileRequest {
  readonly path: string;
  readonly format: string;
  readonly options?: GivenOptions;
  /** The guest disk becomes a whole multiple of this many bytes; zeros are added. */
  readonly sizeMultiple?: number;
  /** The image that the target is to stand on: what both have in common is not stored. */
  readonly over?: BaseFile;
  /** To be computed over the bytes of each file, those of raw disks while they are written; none when absent. */
  readonly checksums?: readonly ChecksumName[];
}

/** How a conversion of files is done. */
export interface ConversionChoices extends LaneChoice {
  /** Read the result back and compare content ids; true when absent. */
  readonly verify?: boolean;
  /** Compute the content id of the source; true when absent, and always when verifying. */
  readonly digest?: boolean;
  /**
   * Without a digest, so many bytes of data or more are copied without looking at each of them, where the formats allow
   * it; 128 MiB when absent, for less it takes longer than it saves.
   */
  readonly unseenFrom?: number;
  /**
   * `auto`: a target on the source's file system shares blocks with it where formats and file system allow it (XFS, btrfs
   * and others), which takes neither time nor space; the first write to either makes a copy (the default). `never`: every
   * target has blocks of its own, as it has in any case when it is to be preallocated.
   */
  readonly reflink?: 'auto' | 'never';
  /** Replace what is at the target; false when absent. */
  readonly overwrite?: boolean;
  /** Refuse a source that says that it stores so many times more guest bytes than its file takes; no limit when absent. */
  readonly maxDataRatio?: number;
  /** Which zeros are left out of the targets; when absent, those that fill blocks of 4 KiB. */
  readonly zeroRule?: ZeroRule;
  /**
   * `flushed`: the targets are on the disk before they appear (the default). `cached`: they are left to the operating
   * system, and a loss of power may leave them damaged.
   */
  readonly durability?: Durability;
  /**
   * A directory for this conversion alone, on the targets' file system: the targets grow there, and a conversion that
   * was killed goes on from its last checkpoint when it is called again with the same request.
   */
  readonly checkpoint?: { readonly path: string; readonly intervalBytes?: number };
  /**
   * Changes the whole and verified images, one path for each target, before any has its name; their guest bytes stay.
   * Not together with `checkpoint`: a conversion that goes on would find them changed.
   */
  readonly adjust?: (paths: readonly string[]) => Promise<void>;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** What to convert into what: every target is written from one read of the source. */
export interface FilesConversion extends ConversionChoices {
  readonly source: ImageFile;
  readonly targets: readonly TargetFileRequest[];
}

/** What a conversion did. Plain data. */
export interface FilesConversionReport {
  readonly plan: ConversionPlan;
  readonly virtualSize: number;
  readonly contentId: string | undefined;
  readonly verified: boolean;
  readonly dataBytes: number;
  readonly resumedFromBytes: number;
  /** For each target the files written, the image's own last. */
  readonly targets: readonly { readonly files: readonly WrittenFile[] }[];
  readonly durationMs: number;
}

/** What `convertFiles` would do; reads tables, writes nothing. */
export async function planFilesConversion(request: FilesConversion): Promise<ConversionPlan> {
  return withImages(request, async (images) => (await makePlan(images, request)).plan);
}

/**
 * Converts an image into new files. Targets appear under their names when all are whole and verified, not before; on
 * failure nothing is left, but for what a later call can resume from when `checkpoint` is given.
 */
export async function convertFiles(request: FilesConversion): Promise<FilesConversionReport> {
  assert(request.adjust === undefined || request.checkpoint === undefined, 'what can go on is not changed');
  await refuseDeviceChecksums(request.targets);
  const startedAt = performance.now();
  return withImages(request, async (images) => {
    const { plan, map } = await makePlan(images, request);
    const { source: file, maxDataRatio } = request;
    if (maxDataRatio !== undefined) await refuseDataBomb(plan, { file, image: images.source }, maxDataRatio);
    const paths = finalPaths(request, plan).flat();
    refuseRepeated(paths);
    if (request.overwrite !== true) await refuseExisting(paths);
    const conversion = { ...images, request, plan, map };
    const { result, checksums } = await inWorkDirectories(request, (directories) => convertIn(directories, conversion));
    return { ...(await report(conversion, { result, checksums })), durationMs: performance.now() - startedAt };
  });
}

/** What a conversion reads. */
interface OpenImages {
  readonly source: DiskImage;
  /** One for each target. */
  readonly bases: readonly (OpenBase | undefined)[];
}

async function withImages<T>(request: FilesConversion, work: (images: OpenImages) => Promise<T>): Promise<T> {
  const source = await openForWork(request.source, request);
  try {
    const bases = await openBases(request.targets, request);
    try {
      return await work({ source, bases });
    } finally {
      await closeBases(bases);
    }
  } finally {
    await source.close();
  }
}

interface Conversion extends OpenImages {
  readonly request: FilesConversion;
  readonly plan: ConversionPlan;
  readonly map: WorkMap;
}

async function makePlan({ source, bases }: OpenImages, request: FilesConversion): Promise<PlannedConversion> {
  const planned = await planConversion({
    source,
    targets: request.targets.map((target, index) => {
      const over = bases[index];
      return {
        format: requireFormat(target.format),
        options: target.options ?? {},
        fileName: path.basename(target.path),
        ...(target.sizeMultiple === undefined ? {} : { sizeMultiple: target.sizeMultiple }),
        ...(over === undefined ? {} : { over }),
      };
    }),
    shared: true,
    ...(request.zeroRule === undefined ? {} : { zeroRule: request.zeroRule }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  const isLittle = planned.plan.source.dataBytes < (request.unseenFrom ?? WORTH_COPYING_UNSEEN);
  if (isLittle || digests(request) || systemCalls().openFilePipe === undefined) return planned;
  const encoders = planned.plan.targets.map((target) => encoderFor(target.layout));
  return unseenPlan(planned, source, { encoders, shared: true });
}

function digests({ verify, digest }: ConversionChoices): boolean {
  return verify !== false || digest !== false;
}

function sharesBlocks({ reflink, targets, zeroRule }: FilesConversion, { source }: ConversionPlan): boolean {
  const allocates = targets.some(({ options }) => TAKING_SPACE.has(options?.['preallocation'] ?? 'off'));
  if (allocates || zeroRule?.least === 0) return false;
  return reflink !== 'never' && source.compressedBytes < source.dataBytes;
}

/** Values of the option `preallocation` that ask for blocks on disk which are there when the guest writes. */
const TAKING_SPACE: ReadonlySet<string> = new Set(['falloc', 'full']);

/** The names of the layout's files, the image's own last: it is renamed into place after all it refers to. */
function fileNames(target: TargetPlan): string[] {
  const names = target.layout.files.map((file) => file.name);
  return [...names.filter((name) => name !== ''), target.fileName];
}

function finalPaths(request: FilesConversion, plan: ConversionPlan): string[][] {
  return plan.targets.map((target, index) => {
    const directory = path.dirname(request.targets[index]?.path ?? '');
    return fileNames(target).map((name) => path.join(directory, name));
  });
}

/** Parts of one target may have the name of another's: the later would replace the earlier. */
function refuseRepeated(paths: readonly string[]): void {
  const resolved = paths.map((file) => path.resolve(file));
  const repeated = resolved.find((file, index) => resolved.indexOf(file) < index);
  if (repeated === undefined) return;
  throw new ImageError('out_of_bounds', `Two of the files to write would have the name ${repeated}`);
}

/** What lies on a device behind the image belongs to nobody's checksum. */
async function refuseDeviceChecksums(targets: readonly TargetFileRequest[]): Promise<void> {
  for (const { path: target, checksums = [] } of targets) {
    if (checksums.length === 0 || !(await isDevice(target))) continue;
    throw new ImageError('unsupported', `${target} is a device: checksums are those of files`);
  }
}

/** One directory for each target: of several, each has its own, for two may have files of the same name. */
async function inWorkDirectories<T>(
  request: FilesConversion,
  work: (directories: readonly WorkDirectory[]) => Promise<T>,
): Promise<T> {
  const { checkpoint, targets } = request;
  if (checkpoint !== undefined) {
    await refuseToResume(targets);
    const directories: WorkDirectory[] = [];
    for (const index of targets.keys()) {
      directories.push(await durableWorkDirectory(path.join(checkpoint.path, `diskmorph-target-${index}`)));
    }
    return work(directories);
  }
  const directories: WorkDirectory[] = [];
  try {
    for (const target of targets) directories.push(await placeToWork(target.path));
    return await work(directories);
  } finally {
    await Promise.all(directories.map((directory) => directory.remove()));
  }
}

/** What is on a device, and what an overlay stands on, may have changed meanwhile. */
async function refuseToResume(targets: readonly TargetFileRequest[]): Promise<void> {
  for (const { path: target, over } of targets) {
    if (over === undefined && !(await isDevice(target))) continue;
    throw new ImageError('unsupported', 'A conversion onto a device or a backing image cannot be resumed');
  }
}

interface Converted {
  readonly result: ConversionResult;
  /** Of every file of every target, in the order of the layouts. */
  readonly checksums: readonly (readonly Checksums[])[];
}

async function convertIn(directories: readonly WorkDirectory[], conversion: Conversion): Promise<Converted> {
  const { request, plan } = conversion;
  let growing: TargetChecksums | undefined;
  try {
    const result = await copyInto(directories, conversion, (files) => (growing = targetChecksums(files)));
    const finishing = growing?.finish(request.signal) ?? Promise.resolve([]);
    // A failure of the verification comes first.
    finishing.catch(() => {});
    for (const [index, target] of plan.targets.entries()) {
      if (request.verify !== false) await verifyTarget(at(directories, index), target, { conversion, result });
    }
    const found = [...(await finishing)];
    await commitTargets(directories, conversion);
    return { result, checksums: plan.targets.map(({ layout }) => found.splice(0, layout.files.length)) };
  } finally {
    await growing?.stop();
  }
}

async function commitTargets(directories: readonly WorkDirectory[], { request, plan }: Conversion): Promise<void> {
  await request.adjust?.(plan.targets.map((target, index) => at(directories, index).pathOf(target.fileName)));
  for (const [index, target] of plan.targets.entries()) {
    const directory = path.dirname(at(request.targets, index).path);
    await at(directories, index).commit(fileNames(target), directory, request.durability ?? 'flushed');
  }
  if (request.checkpoint !== undefined) await removeCheckpoint(request.checkpoint.path);
}

async function verifyTarget(
  directory: WorkDirectory,
  target: TargetPlan,
  done: { readonly conversion: Conversion; readonly result: ConversionResult },
): Promise<void> {
  const { request, plan } = done.conversion;
  assert(done.result.contentId !== undefined, 'what is verified has been digested');
  const over = at(request.targets, plan.targets.indexOf(target)).over?.file;
  const targetPath = directory.pathOf(target.fileName);
  // What lies on a device behind a raw disk is not the conversion's.
  const isOnDevice = await isDevice(targetPath);
  const written = {
    path: targetPath,
    format: target.layout.format,
    references: { directories: [directory.path] },
    ...(isOnDevice ? { part: { offset: 0, size: target.layout.virtualSize } } : {}),
    ...(over === undefined ? {} : { over }),
  };
  const expected = { contentId: done.result.contentId, virtualSize: plan.source.virtualSize };
  await verifyFile(written, expected, request);
}

/** `follow` is called when all files of the targets are there. */
async function copyInto(
  directories: readonly WorkDirectory[],
  conversion: Conversion,
  follow: (files: readonly ChecksummedFile[]) => TargetChecksums,
): Promise<ConversionResult> {
  const { request, source, bases, plan, map } = conversion;
  const resume = await resumePoint(conversion);
  const paths = plan.targets.map((target, index) =>
    target.layout.files.map((file) => at(directories, index).pathOf(file.name === '' ? target.fileName : file.name)),
  );
  if (resume.from === undefined) for (const [index, own] of paths.entries()) await at(directories, index).clear(own);
  const targets = plan.targets.map((target, index) => ({
    format: requireFormat(target.layout.format),
    sinks: at(paths, index).map((file) => targetSink(file, request)),
    spool: fileRunSpool(
      at(directories, index).pathOf('stored-units'),
      resume.from?.state.targets[index]?.runCount ?? 0,
    ),
    encoder: encoderFor(target.layout),
    ...baseOf(bases[index]),
  }));
  const growing = follow(
    plan.targets.flatMap((target, index) => checksummedFiles(target, at(paths, index), at(request.targets, index))),
  );
  const codecs = nodeCodecs();
  const baseFiles = request.targets.map(({ over }) => over?.file);
  const files = { source: request.source, targetPaths: paths, bases: baseFiles };
  const digest = digests(request);
  const work = copyingWork(plan, { digest, encoders: targets.map((target) => target.encoder) });
  const lanes = copyLanes(lanesFor(work, request), { source, targets, codecs }, files);
  try {
    return await convert(plan, {
      map,
      targets,
      codecs,
      lanes,
      shared: true,
      digest,
      reflink: sharesBlocks(request, plan),
      now: () => performance.now(),
      onCopied: growing.advance,
      ...(resume.from === undefined ? {} : { resumeFrom: resume.from.state }),
      ...(resume.checkpoints === undefined ? {} : { checkpoints: resume.checkpoints }),
      ...(request.onProgress === undefined ? {} : { onProgress: request.onProgress }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
  } finally {
    for (const { spool, sinks } of targets) {
      await spool.close();
      for (const sink of sinks) await sink.close();
    }
  }
}

function checksummedFiles(target: TargetPlan, paths: readonly string[], request: TargetFileRequest): ChecksummedFile[] {
  return target.layout.files.map((layout, index) => ({
    path: at(paths, index),
    names: request.checksums ?? [],
    layout,
  }));
}

function baseOf(base: OpenBase | undefined): Pick<LaneTarget, 'base'> {
  return base === undefined ? {} : { base: base.base };
}

/** On a device the order of writes is all that keeps half an image from looking like one. */
function targetSink(file: string, { durability }: ConversionChoices): ByteSink {
  const sink = openFileSink(file, 'the target');
  return durability === 'cached' && sink.deviceSize === undefined ? cachedSink(sink) : sink;
}

interface ResumePoint {
  readonly from?: Checkpoint;
  readonly checkpoints?: ConversionCheckpoints;
}

async function resumePoint(conversion: Conversion): Promise<ResumePoint> {
  const { checkpoint, source } = conversion.request;
  if (checkpoint === undefined) return {};
  const checkpoints = {
    store: checkpointFile(checkpoint.path),
    planDigest: await planDigest(conversion.plan, source),
    intervalBytes: checkpoint.intervalBytes ?? CHECKPOINT_INTERVAL,
  };
  const saved = await checkpoints.store.load();
  if (saved === undefined || saved.version !== 1 || saved.planDigest !== checkpoints.planDigest) return { checkpoints };
  return { checkpoints, from: saved };
}

async function report(
  conversion: Conversion,
  { result, checksums }: Converted,
): Promise<Omit<FilesConversionReport, 'durationMs'>> {
  const { request, plan } = conversion;
  const targets = await Promise.all(
    plan.targets.map(async (target, index) => {
      const directory = path.dirname(at(request.targets, index).path);
      const ofFile = new Map(
        target.layout.files.map(({ name }, file) => [name || target.fileName, checksums[index]?.[file]]),
      );
      const files = fileNames(target).map((name) => writtenFile(path.join(directory, name), ofFile.get(name)));
      return { files: await Promise.all(files) };
    }),
  );
  return { ...result, plan, virtualSize: plan.source.virtualSize, verified: request.verify !== false, targets };
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  assert(found !== undefined, 'every target has its own');
  return found;
}
