import type { Codecs } from '../bytes/codecs.ts';
import { throwIfAborted } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { LanePause } from './lane.ts';
import type { LaneControl } from './lane-control.ts';
import { createControlMemory, laneControl } from './lane-control.ts';
import type { ProgressListener } from './progress.ts';
import { progressMeter } from './progress.ts';
import type { WorkMap } from './work-map.ts';
import { isInMemory, isWorthReadingAhead, storedAhead } from './stored-ahead.ts';
import { readRanges } from './unit-walk.ts';
import { countDataChunks, dataParts, emptyWorkMap, markData } from './work-map.ts';

/** The same for all lanes of one comparison; plain data. */
export interface CompareJob {
  readonly map: WorkMap;
  readonly control: SharedArrayBuffer | ArrayBuffer;
  /** True when so much is to be read that the disk should be asked for it before it is wanted. */
  readonly readAhead: boolean;
}

/** What one lane compares with. */
export interface CompareLanePorts {
  readonly first: DiskImage;
  readonly second: DiskImage;
  readonly codecs: Codecs;
  readonly control: LaneControl;
  /** Says that `chunks` more chunks were compared. */
  report(chunks: number): void;
  readonly pause?: LanePause;
}

/** Runs the lanes of a comparison and gives the lowest offset that any of them found to differ. */
export type CompareLaneRunner = (
  job: CompareJob,
  onChunks: (chunks: number) => void,
  signal: AbortSignal | undefined,
) => Promise<number | undefined>;

/** Whether two disks hold the same guest bytes; a shorter one counts as followed by zeros. */
export interface Comparison {
  readonly equal: boolean;
  /** The first guest byte that differs. */
  readonly firstDifference: number | undefined;
  readonly sizes: readonly [number, number];
}

/** What a comparison needs from its platform. */
export interface ComparePorts {
  readonly lanes: CompareLaneRunner;
  readonly shared: boolean;
  readonly now: () => number;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** Compares two disks over everything that either of them stores. */
export async function compareImages(first: DiskImage, second: DiskImage, ports: ComparePorts): Promise<Comparison> {
  const virtualSize = Math.max(first.virtualSize, second.virtualSize);
  const map = emptyWorkMap(virtualSize, 1, ports.shared);
  const ofFirst = await markData(map, first, ports.signal);
  const ofSecond = await markData(map, second, ports.signal);
  const isMuch = isWorthReadingAhead(ofFirst.dataBytes + ofSecond.dataBytes);
  const readAhead = isMuch && !((await isInMemory(first)) && (await isInMemory(second)));
  const control = createControlMemory(ports.shared, 0, []);
  const meter = progressMeter('compare', countDataChunks(map) * map.chunkSize, {
    now: ports.now,
    onProgress: ports.onProgress,
  });
  let done = 0;
  const firstDifference = await ports.lanes(
    { map, control, readAhead },
    (chunks) => meter.update((done += chunks) * map.chunkSize),
    ports.signal,
  );
  throwIfAborted(ports.signal);
  meter.finish();
  return { equal: firstDifference === undefined, firstDifference, sizes: [first.virtualSize, second.virtualSize] };
}

/** One lane in this thread. */
export function inlineCompareLanes(ports: Omit<CompareLanePorts, 'control' | 'report'>): CompareLaneRunner {
  return async (job, onChunks, signal) => {
    const control = laneControl(job.control, job.map);
    return runCompareLane(job, { ...ports, control, report: onChunks }, signal);
  };
}

const REPORT_BATCH = 16;

/**
 * Compares chunks until none is left or one differs; returns the first differing guest byte it found. Chunks are taken
 * in ascending order, so the lowest of all lanes' answers is the first difference of the disks.
 */
export async function runCompareLane(
  job: CompareJob,
  ports: CompareLanePorts,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const { chunkSize } = job.map;
  const buffers = [new Uint8Array(chunkSize), new Uint8Array(chunkSize)] as const;
  const aheads = job.readAhead ? [storedAhead(ports.first), storedAhead(ports.second)] : [];
  let unreported = 0;
  for (let taken = ports.control.take(); taken !== undefined; taken = ports.control.take()) {
    const offset = taken.chunk * chunkSize;
    for (const ahead of aheads) await ahead.readAhead(offset);
    const ranges = dataParts(job.map, taken.chunk, chunkSize);
    await readRanges(ports.first, { offset, into: buffers[0], ranges }, signal);
    await readRanges(ports.second, { offset, into: buffers[1], ranges }, signal);
    if (!ports.codecs.isEqual(...buffers)) {
      ports.control.exhaust();
      return offset + firstDifference(...buffers);
    }
    if (++unreported === REPORT_BATCH) {
      ports.report(unreported);
      unreported = 0;
    }
    const pause = ports.pause?.();
    if (pause !== undefined) await pause;
  }
  ports.report(unreported);
  return undefined;
}

/** Index of the first byte that differs in two pieces that are not equal. */
function firstDifference(first: Uint8Array, second: Uint8Array): number {
  return first.findIndex((byte, index) => byte !== second[index]);
}
