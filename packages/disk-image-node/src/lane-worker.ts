import { parentPort, workerData } from 'node:worker_threads';
import type { CompareJob, DiskImage, LaneJob, LaneTarget } from '@diskmorph/disk-image';
import { clippedImage, laneControl, runCompareLane, runLane } from '@diskmorph/disk-image';
import { openFileSink } from './file-sink.ts';
import type { ImageFile } from './image-file.ts';
import { openImageFileSync } from './image-file.ts';
import { encoderFor } from './layout-encoder.ts';
import type { LaneMessage } from './lane-message.ts';
import { packError } from './lane-message.ts';
import { nodeCodecs } from './native-codecs.ts';

/** What a lane's thread is started with; plain data and shared memory. */
export type LaneWork =
  | {
      readonly kind: 'copy';
      readonly source: ImageFile;
      readonly job: LaneJob;
      readonly targetPaths: readonly (readonly string[])[];
      /** For each target what it stands on. */
      readonly bases: readonly (ImageFile | undefined)[];
    }
  | { readonly kind: 'digest'; readonly source: ImageFile; readonly job: LaneJob }
  | { readonly kind: 'compare'; readonly first: ImageFile; readonly second: ImageFile; readonly job: CompareJob };

const work = workerData as LaneWork;
const codecs = nodeCodecs();
const send = (message: LaneMessage): void => parentPort?.postMessage(message);

try {
  if (work.kind === 'copy') await copyLane(work);
  else if (work.kind === 'digest') await digestLane(work);
  else await compareLane(work);
} catch (error) {
  send({ kind: 'failed', error: packError(error) });
}

async function copyLane(copy: LaneWork & { readonly kind: 'copy' }): Promise<void> {
  const image = await openImageFileSync(copy.source);
  const targets: LaneTarget[] = [];
  for (const [index, layout] of copy.job.layouts.entries()) {
    const base = copy.bases[index];
    targets.push({
      sinks: (copy.targetPaths[index] ?? []).map((path) => openFileSink(path, 'the target')),
      encoder: encoderFor(layout),
      ...(base === undefined ? {} : { base: await openImageFileSync(base) }),
    });
  }
  try {
    await moveBytes(image, copy.job, targets);
  } finally {
    const bases = targets.flatMap(({ base }) => (base === undefined ? [] : [base]));
    await closeAll([image, ...bases, ...targets.flatMap((target) => target.sinks)]);
  }
}

async function digestLane({ source, job }: LaneWork & { readonly kind: 'digest' }): Promise<void> {
  const image = await openImageFileSync(source);
  try {
    await moveBytes(clippedImage(image, job.virtualSize), job, []);
  } finally {
    await image.close();
  }
}

async function moveBytes(source: DiskImage, job: LaneJob, targets: readonly LaneTarget[]): Promise<void> {
  const control = laneControl(job.control, job.map);
  await runLane(job, { source, targets, codecs, control, report: (results) => send({ kind: 'results', results }) });
  send({ kind: 'done', difference: undefined });
}

async function compareLane(compare: LaneWork & { readonly kind: 'compare' }): Promise<void> {
  const first = await openImageFileSync(compare.first);
  const second = await openImageFileSync(compare.second);
  try {
    const control = laneControl(compare.job.control, compare.job.map);
    const report = (chunks: number): void => send({ kind: 'chunks', chunks });
    const difference = await runCompareLane(compare.job, { first, second, codecs, control, report });
    send({ kind: 'done', difference });
  } finally {
    await closeAll([first, second]);
  }
}

async function closeAll(closable: readonly { close(): Promise<void> }[]): Promise<void> {
  await Promise.all(closable.map((one) => one.close()));
}
