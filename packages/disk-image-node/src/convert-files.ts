import { rm } from 'node:fs/promises';
import path from 'node:path';
import type {
  Checkpoint,
  ConversionCheckpoints,
  ConversionPlan,
  ConversionResult,
  DiskImage,
  GivenOptions,
  ProgressListener,
  TargetPlan,
  WorkMap,
} from '@diskmorph/disk-image';
import { assert, CHECKPOINT_INTERVAL, convert, ImageError, inlineLanes, planConversion } from '@diskmorph/disk-image';
import { checkpointFile, planDigest, removeCheckpoint } from './checkpoint-files.ts';
import { verifyFile } from './digest-file.ts';
import { fileRunSpool } from './file-run-spool.ts';
import { openFileSink } from './file-sink.ts';
import type { ImageFile } from './image-file.ts';
import { openImageFile, requireFormat } from './image-file.ts';
import { laneCount } from './lane-count.ts';
import { encoderFor } from './layout-encoder.ts';
import { nodeCodecs } from './native-codecs.ts';
import type { WorkDirectory } from './work-directory.ts';
import { durableWorkDirectory, refuseExisting, temporaryWorkDirectory } from './work-directory.ts';
import { copyLanes } from './worker-lanes.ts';
import type { WrittenFile } from './written-file.ts';
import { writtenFile } from './written-file.ts';

/** An image to write. */
export interface TargetFileRequest {
  readonly path: string;
  readonly format: string;
  readonly options?: GivenOptions;
  /** The guest disk becomes a whole multiple of this many bytes; zeros are added. */
  readonly sizeMultiple?: number;
}

/** How a conversion of files is done. */
export interface ConversionChoices {
  /** Read the result back and compare content ids; true when absent. */
  readonly verify?: boolean;
  /** Compute the content id of the source; true when absent, and always when verifying. */
  readonly digest?: boolean;
  /** Replace what is at the target; false when absent. */
  readonly overwrite?: boolean;
  /** Threads to use; 0 for this one only. Chosen by the size of the work when absent. */
  readonly workers?: number;
  /**
   * A directory for this conversion alone, on the targets' file system: the targets grow there, and a conversion that
   * was killed goes on from its last checkpoint when it is called again with the same request.
   */
  readonly checkpoint?: { readonly path: string; readonly intervalBytes?: number };
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
  const source = await openImageFile(request.source);
  try {
    return (await makePlan(source, request)).plan;
  } finally {
    await source.close();
  }
}

/**
 * Converts an image into new files. Targets appear under their names when all are whole and verified, not before; on
 * failure nothing is left, but for what a later call can resume from when `checkpoint` is given.
 */
export async function convertFiles(request: FilesConversion): Promise<FilesConversionReport> {
  const startedAt = performance.now();
  const source = await openImageFile(request.source);
  try {
    const { plan, map } = await makePlan(source, request);
    const paths = finalPaths(request, plan).flat();
    refuseRepeated(paths);
    if (request.overwrite !== true) await refuseExisting(paths);
    const conversion = { request, source, plan, map };
    const result = await inWorkDirectories(request, (directories) => convertIn(directories, conversion));
    return { ...(await report(conversion, result)), durationMs: performance.now() - startedAt };
  } finally {
    await source.close();
  }
}

interface Conversion {
  readonly request: FilesConversion;
  readonly source: DiskImage;
  readonly plan: ConversionPlan;
  readonly map: WorkMap;
}

async function makePlan(
  source: DiskImage,
  request: FilesConversion,
): Promise<{ readonly plan: ConversionPlan; readonly map: WorkMap }> {
  return planConversion({
    source,
    targets: request.targets.map((target) => ({
      format: requireFormat(target.format),
      options: target.options ?? {},
      fileName: path.basename(target.path),
      ...(target.sizeMultiple === undefined ? {} : { sizeMultiple: target.sizeMultiple }),
    })),
    shared: true,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}

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

/** One directory for each target: of several, each has its own, for two may have files of the same name. */
async function inWorkDirectories<T>(
  request: FilesConversion,
  work: (directories: readonly WorkDirectory[]) => Promise<T>,
): Promise<T> {
  const { checkpoint, targets } = request;
  if (checkpoint !== undefined) {
    const directories: WorkDirectory[] = [];
    for (const index of targets.keys()) {
      directories.push(await durableWorkDirectory(path.join(checkpoint.path, `diskmorph-target-${index}`)));
    }
    return work(directories);
  }
  const directories: WorkDirectory[] = [];
  try {
    for (const target of targets) directories.push(await temporaryWorkDirectory(target.path));
    return await work(directories);
  } finally {
    await Promise.all(directories.map((directory) => directory.remove()));
  }
}

async function convertIn(directories: readonly WorkDirectory[], conversion: Conversion): Promise<ConversionResult> {
  const { request, plan } = conversion;
  const result = await copyInto(directories, conversion);
  for (const [index, target] of plan.targets.entries()) {
    if (request.verify !== false) await verifyTarget(at(directories, index), target, { conversion, result });
  }
  for (const [index, target] of plan.targets.entries()) {
    await at(directories, index).commit(fileNames(target), path.dirname(at(request.targets, index).path));
  }
  if (request.checkpoint !== undefined) await removeCheckpoint(request.checkpoint.path);
  return result;
}

async function verifyTarget(
  directory: WorkDirectory,
  target: TargetPlan,
  done: { readonly conversion: Conversion; readonly result: ConversionResult },
): Promise<void> {
  const { request, plan } = done.conversion;
  assert(done.result.contentId !== undefined, 'what is verified has been digested');
  const written = {
    path: directory.pathOf(target.fileName),
    format: target.layout.format,
    references: { directories: [directory.path] },
  };
  const expected = { contentId: done.result.contentId, virtualSize: plan.source.virtualSize };
  await verifyFile(written, expected, request);
}

async function copyInto(directories: readonly WorkDirectory[], conversion: Conversion): Promise<ConversionResult> {
  const { request, source, plan, map } = conversion;
  const resume = await resumePoint(conversion);
  const paths = plan.targets.map((target, index) =>
    target.layout.files.map((file) => at(directories, index).pathOf(file.name === '' ? target.fileName : file.name)),
  );
  if (resume.from === undefined) await Promise.all(paths.flat().map((file) => rm(file, { force: true })));
  const targets = plan.targets.map((target, index) => ({
    format: requireFormat(target.layout.format),
    sinks: at(paths, index).map((file) => openFileSink(file, 'the target')),
    spool: fileRunSpool(
      at(directories, index).pathOf('stored-units'),
      resume.from?.state.targets[index]?.runCount ?? 0,
    ),
    encoder: encoderFor(target.layout),
  }));
  const codecs = nodeCodecs();
  const count = laneCount(plan.source.dataBytes, request.workers);
  const lanes = count === 0 ? inlineLanes({ source, targets, codecs }) : copyLanes(count, request.source, paths);
  try {
    return await convert(plan, {
      map,
      targets,
      codecs,
      lanes,
      shared: true,
      digest: request.verify !== false || request.digest !== false,
      now: () => performance.now(),
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
  result: ConversionResult,
): Promise<Omit<FilesConversionReport, 'durationMs'>> {
  const { request, plan } = conversion;
  const targets = await Promise.all(
    finalPaths(request, plan).map(async (paths) => ({ files: await Promise.all(paths.map(writtenFile)) })),
  );
  return { ...result, plan, virtualSize: plan.source.virtualSize, verified: request.verify !== false, targets };
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  assert(found !== undefined, 'every target has its own');
  return found;
}
