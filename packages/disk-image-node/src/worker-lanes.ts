import type {
  ChunkResult,
  CompareJob,
  CompareLanePorts,
  CompareLaneRunner,
  LaneJob,
  LanePorts,
  LaneRunner,
} from '@diskmorph/disk-image';
import { inlineCompareLanes, inlineLanes, laneControl, throwIfAborted } from '@diskmorph/disk-image';
import type { ImageFile } from './image-file.ts';
import type { Lanes } from './lane-count.ts';
import type { LaneMessage } from './lane-message.ts';
import { unpackError } from './lane-message.ts';
import { turnsForOthers } from './lane-turns.ts';
import type { LaneWork } from './lane-worker.ts';

const WORKER_URL = new URL(import.meta.url.endsWith('.ts') ? './lane-worker.ts' : './lane-worker.js', import.meta.url);

/** What the calling thread's own lane works with. */
export type OwnLane = Pick<LanePorts, 'source' | 'targets' | 'codecs'>;

/** What the threads open for themselves. */
export interface CopiedFiles {
  readonly source: ImageFile;
  readonly targetPaths: readonly (readonly string[])[];
  /** For each target what it stands on. */
  readonly bases: readonly (ImageFile | undefined)[];
}

/** Lanes that copy from `source` into files: for each layout of the job, one path for each of its files. */
export function copyLanes(lanes: Lanes, own: OwnLane, files: CopiedFiles): LaneRunner {
  return bytesLanes(lanes, own, (job) => ({ kind: 'copy', job, ...files }));
}

/** Lanes that digest `source` over the job's size. */
export function digestLanes(lanes: Lanes, own: OwnLane, source: ImageFile): LaneRunner {
  return bytesLanes(lanes, own, (job) => ({ kind: 'digest', job, source }));
}

function bytesLanes(lanes: Lanes, own: OwnLane, workFor: (job: LaneJob) => LaneWork): LaneRunner {
  if (!lanes.own && lanes.threads === 0) return inlineLanes(own);
  return async (job, onResults, signal) => {
    const ownRunner = inlineLanes({ ...own, pause: turnsForOthers() });
    const ownLane = async (): Promise<undefined> => {
      await ownRunner(job, onResults, signal);
    };
    const threads = threadLanes(lanes.threads, workFor(job), { onResults });
    await runLanes(job, lanes.own ? [...threads, ownLane] : threads, signal);
  };
}

/** Lanes that compare two images. */
export function compareLanes(
  lanes: Lanes,
  own: Pick<CompareLanePorts, 'first' | 'second' | 'codecs'>,
  files: { readonly first: ImageFile; readonly second: ImageFile },
): CompareLaneRunner {
  if (!lanes.own && lanes.threads === 0) return inlineCompareLanes(own);
  return async (job, onChunks, signal) => {
    const ownRunner = inlineCompareLanes({ ...own, pause: turnsForOthers() });
    const ownLane = (): Promise<number | undefined> => ownRunner(job, onChunks, signal);
    const threads = threadLanes(lanes.threads, { kind: 'compare', job, ...files }, { onChunks });
    const differences = await runLanes(job, lanes.own ? [...threads, ownLane] : threads, signal);
    const found = differences.filter((difference) => difference !== undefined);
    return found.length === 0 ? undefined : Math.min(...found);
  };
}

/** One lane: works until nothing is left. */
type RunningLane = () => Promise<number | undefined>;

/** Starts the lanes, returns when all have ended; the first failure stops the others and is thrown. */
async function runLanes(
  job: LaneJob | CompareJob,
  lanes: readonly RunningLane[],
  signal: AbortSignal | undefined,
): Promise<(number | undefined)[]> {
  throwIfAborted(signal);
  const control = laneControl(job.control, job.map);
  const stop = (): void => control.stop();
  signal?.addEventListener('abort', stop);
  let failure: { readonly error: unknown } | undefined;
  try {
    const running = lanes.map((lane) =>
      lane().catch((error: unknown) => {
        failure ??= { error };
        stop();
        return undefined;
      }),
    );
    const differences = await Promise.all(running);
    throwIfAborted(signal);
    if (failure !== undefined) throw failure.error;
    return differences;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

interface ThreadListeners {
  readonly onResults?: (results: readonly ChunkResult[]) => void;
  readonly onChunks?: (chunks: number) => void;
}

function threadLanes(count: number, work: LaneWork, listeners: ThreadListeners): RunningLane[] {
  return Array.from({ length: count }, () => () => runThread(work, listeners));
}

function runThread(work: LaneWork, listeners: ThreadListeners): Promise<number | undefined> {
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER_URL, { workerData: work });
    let outcome: (() => void) | undefined;
    worker.on('message', (message: LaneMessage) => {
      try {
        if (message.kind === 'results') listeners.onResults?.(message.results);
        else if (message.kind === 'chunks') listeners.onChunks?.(message.chunks);
        else if (message.kind === 'failed') outcome = () => reject(unpackError(message.error));
        else outcome = () => resolve(message.difference);
      } catch (error) {
        outcome = () => reject(error);
        void worker.terminate();
      }
    });
    worker.on('error', (error) => {
      outcome = () => reject(error);
    });
    worker.on('exit', (code) => {
      if (outcome === undefined) reject(new Error(`A lane's thread ended with code ${code} before its work was done`));
      else outcome();
    });
  });
}
