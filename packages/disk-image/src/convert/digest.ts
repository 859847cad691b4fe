import type { Codecs } from '../bytes/codecs.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { ChunkResult, LaneJob } from './lane.ts';
import { runLane } from './lane.ts';
import { createControlMemory, laneControl } from './lane-control.ts';
import type { ProgressListener, ProgressPhase } from './progress.ts';
import { progressMeter } from './progress.ts';
import { initialState, resultCollector } from './result-collector.ts';
import { isInMemory, isWorthReadingAhead } from './stored-ahead.ts';
import { countDataChunks, emptyWorkMap, markData } from './work-map.ts';

/** Runs all lanes of a job and gives their results, in no particular order. Stops every lane when one fails. */
export type LaneRunner = (
  job: LaneJob,
  onResults: (results: readonly ChunkResult[]) => void,
  signal: AbortSignal | undefined,
) => Promise<void>;

/** What work on an image needs from its platform. */
export interface WorkPorts {
  readonly codecs: Codecs;
  /** Runs the lanes over the image at hand; `inlineLanes` where there are no threads. */
  readonly lanes: LaneRunner;
  /** True when the lanes are on several threads, so that maps must lie in shared memory. */
  readonly shared: boolean;
  /** A clock in milliseconds, for progress only. */
  readonly now: () => number;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** One lane in this thread, over `ports.source`. */
export function inlineLanes(ports: Omit<Parameters<typeof runLane>[1], 'control' | 'report'>): LaneRunner {
  return async (job, onResults, signal) => {
    const control = laneControl(job.control, job.map);
    await runLane(job, { ...ports, control, report: onResults }, signal);
  };
}

/** The content id of an image, and how many guest bytes of it are not in blocks of zeros. */
export interface ContentDigest {
  readonly contentId: string;
  readonly virtualSize: number;
  readonly dataBytes: number;
}

/** Digests the guest bytes of `image` with the given lanes, which must read the same image. */
export async function digestImage(
  image: DiskImage,
  ports: WorkPorts,
  phase: ProgressPhase = 'digest',
): Promise<ContentDigest> {
  const map = emptyWorkMap(image.virtualSize, 1, ports.shared);
  const found = await markData(map, image, ports.signal);
  const state = initialState([]);
  const control = createControlMemory(ports.shared, 0, []);
  const collector = resultCollector({ virtualSize: image.virtualSize, map, codecs: ports.codecs, spools: [], state });
  const meter = progressMeter(phase, countDataChunks(map) * map.chunkSize, {
    now: ports.now,
    onProgress: ports.onProgress,
  });
  const job: LaneJob = {
    virtualSize: image.virtualSize,
    map,
    control,
    digest: true,
    readAhead: isWorthReadingAhead(found.dataBytes) && !(await isInMemory(image)),
    layouts: [],
  };
  const onResults = (results: readonly ChunkResult[]): void => {
    collector.accept(results);
    meter.update(collector.state().chunksDone * map.chunkSize);
  };
  await ports.lanes(job, onResults, ports.signal);
  meter.finish();
  const { dataBytes } = collector.state();
  return { contentId: collector.contentId(), virtualSize: image.virtualSize, dataBytes };
}
