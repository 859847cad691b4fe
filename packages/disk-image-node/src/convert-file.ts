import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type {
  Checkpoint,
  ConversionCheckpoints,
  ConversionPlan,
  ConversionResult,
  DiskImage,
  GivenOptions,
  ProgressListener,
  WorkMap,
} from '@diskmorph/disk-image';
import { assert, CHECKPOINT_INTERVAL, convert, inlineLanes, planConversion } from '@diskmorph/disk-image';
import { checkpointFile, planDigest } from './checkpoint-files.ts';
import { verifyFile } from './digest-file.ts';
import { fileRunSpool } from './file-run-spool.ts';
import type { FileRunSpool } from './file-run-spool.ts';
import { openFileSink } from './file-sink.ts';
import type { ImageFile } from './image-file.ts';
import { openImageFile, requireFormat } from './image-file.ts';
import { laneCount } from './lane-count.ts';
import { encoderFor } from './layout-encoder.ts';
import { nodeCodecs } from './native-codecs.ts';
import type { WorkDirectory } from './work-directory.ts';
import { durableWorkDirectory, refuseExisting, temporaryWorkDirectory } from './work-directory.ts';
import { copyLanes } from './worker-lanes.ts';

/** What to convert into what. */
export interface FileConversion {
  readonly source: ImageFile;
  readonly target: { readonly path: string; readonly format: string; readonly options?: GivenOptions };
  /** Read the result back and compare content ids; true when absent. */
  readonly verify?: boolean;
  /** Compute the content id of the source; true when absent, and always when verifying. */
  readonly digest?: boolean;
  /** Replace what is at the target; false when absent. */
  readonly overwrite?: boolean;
  /** Threads to use; 0 for this one only. Chosen by the size of the work when absent. */
  readonly workers?: number;
  /**
   * A directory for this conversion alone, on the target's file system: the target grows there, and a conversion that
   * was killed goes on from its last checkpoint when it is called again with the same request.
   */
  readonly checkpoint?: { readonly path: string; readonly intervalBytes?: number };
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** What a conversion did. Plain data. */
export interface ConversionReport {
  readonly plan: ConversionPlan;
  readonly virtualSize: number;
  readonly contentId: string | undefined;
  readonly verified: boolean;
  readonly dataBytes: number;
  readonly resumedFromBytes: number;
  /** The files written, the image's own last. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number; readonly allocatedBytes: number }[];
  /** Size in bytes of all files together. */
  readonly targetSizeBytes: number;
  readonly durationMs: number;
}

/** What `convertFile` would do; reads tables, writes nothing. */
export async function planFileConversion(request: FileConversion): Promise<ConversionPlan> {
  const source = await openImageFile(request.source);
  try {
    return (await makePlan(source, request)).plan;
  } finally {
    await source.close();
  }
}

/**
 * Converts an image into a new file (or files). The target appears under its name when it is whole and verified, not
 * before; on failure nothing is left, but for what a later call can resume from when `checkpoint` is given.
 */
export async function convertFile(request: FileConversion): Promise<ConversionReport> {
  const startedAt = performance.now();
  const source = await openImageFile(request.source);
  try {
    const { plan, map } = await makePlan(source, request);
    const targets = targetPaths(request, plan);
    if (request.overwrite !== true) await refuseExisting(targets);
    const conversion = { request, source, plan, map };
    const result = await inWorkDirectory(request, (directory) => convertIn(directory, conversion));
    return { ...(await report(conversion, result, targets)), durationMs: performance.now() - startedAt };
  } finally {
    await source.close();
  }
}

interface Conversion {
  readonly request: FileConversion;
  readonly source: DiskImage;
  readonly plan: ConversionPlan;
  readonly map: WorkMap;
}

async function makePlan(
  source: DiskImage,
  request: FileConversion,
): Promise<{ readonly plan: ConversionPlan; readonly map: WorkMap }> {
  return planConversion({
    source,
    target: requireFormat(request.target.format),
    options: request.target.options ?? {},
    fileName: path.basename(request.target.path),
    shared: true,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}

/** The names of the layout's files, the image's own last: it is renamed into place after all it refers to. */
function fileNames(plan: ConversionPlan): string[] {
  const names = plan.layout.files.map((file) => file.name);
  return [...names.filter((name) => name !== ''), plan.fileName];
}

function targetPaths(request: FileConversion, plan: ConversionPlan): string[] {
  return fileNames(plan).map((name) => path.join(path.dirname(request.target.path), name));
}

async function inWorkDirectory<T>(request: FileConversion, work: (directory: WorkDirectory) => Promise<T>): Promise<T> {
  if (request.checkpoint !== undefined) return work(await durableWorkDirectory(request.checkpoint.path));
  const directory = await temporaryWorkDirectory(request.target.path);
  try {
    return await work(directory);
  } finally {
    await directory.remove();
  }
}

async function convertIn(directory: WorkDirectory, conversion: Conversion): Promise<ConversionResult> {
  const { request, plan } = conversion;
  const result = await copyInto(directory, conversion);
  if (request.verify !== false) {
    assert(result.contentId !== undefined, 'what is verified has been digested');
    const written = {
      path: directory.pathOf(plan.fileName),
      format: plan.layout.format,
      references: { directories: [directory.path] },
    };
    const expected = { contentId: result.contentId, virtualSize: plan.source.virtualSize };
    await verifyFile(written, expected, request);
  }
  await directory.commit(fileNames(plan), path.dirname(request.target.path));
  return result;
}

async function copyInto(directory: WorkDirectory, conversion: Conversion): Promise<ConversionResult> {
  const { request, source, plan, map } = conversion;
  const resume = await resumePoint(directory, conversion);
  const paths = plan.layout.files.map((file) => directory.pathOf(file.name === '' ? plan.fileName : file.name));
  if (resume.from === undefined) await Promise.all(paths.map((file) => rm(file, { force: true })));
  const sinks = paths.map((file) => openFileSink(file, 'the target'));
  const spool: FileRunSpool = fileRunSpool(directory.pathOf('stored-units'), resume.from?.state.runCount ?? 0);
  const codecs = nodeCodecs();
  const count = laneCount(plan.bytesToRead, request.workers);
  const lanes =
    count === 0
      ? inlineLanes({ source, sinks, encoder: encoderFor(plan.layout), codecs })
      : copyLanes(count, request.source, paths);
  try {
    return await convert(plan, requireFormat(plan.layout.format), {
      map,
      sinks,
      spool,
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
    await spool.close();
    await Promise.all(sinks.map((sink) => sink.close()));
  }
}

interface ResumePoint {
  readonly from?: Checkpoint;
  readonly checkpoints?: ConversionCheckpoints;
}

async function resumePoint(directory: WorkDirectory, conversion: Conversion): Promise<ResumePoint> {
  if (conversion.request.checkpoint === undefined) return {};
  const checkpoints = {
    store: checkpointFile(directory.path),
    planDigest: await planDigest(conversion.plan, conversion.request.source),
    intervalBytes: conversion.request.checkpoint.intervalBytes ?? CHECKPOINT_INTERVAL,
  };
  const saved = await checkpoints.store.load();
  if (saved === undefined || saved.version !== 1 || saved.planDigest !== checkpoints.planDigest) return { checkpoints };
  return { checkpoints, from: saved };
}

async function report(
  conversion: Conversion,
  result: ConversionResult,
  targets: readonly string[],
): Promise<Omit<ConversionReport, 'durationMs'>> {
  const files = await Promise.all(
    targets.map(async (target) => {
      const { size, blocks } = await stat(target);
      return { path: target, sizeBytes: size, allocatedBytes: blocks * 512 };
    }),
  );
  return {
    ...result,
    plan: conversion.plan,
    virtualSize: conversion.plan.source.virtualSize,
    verified: conversion.request.verify !== false,
    files,
    targetSizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  };
}
