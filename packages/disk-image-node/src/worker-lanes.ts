import { Worker } from 'node:worker_threads';
import type { ChunkResult, CompareJob, CompareLaneRunner, LaneJob, LaneRunner } from '@diskmorph/disk-image';
import { laneControl, throwIfAborted } from '@diskmorph/disk-image';
import type { ImageFile } from './image-file.ts';
import type { LaneMessage } from './lane-message.ts';
import { unpackError } from './lane-message.ts';
import type { LaneWork } from './lane-worker.ts';

const WORKER_URL = new URL(import.meta.url.endsWith('.ts') ? './lane-worker.ts' : './lane-worker.js', import.meta.url);

/** `count` threads that copy from `source` into files: for each layout of the job, one path for each of its files. */
export function copyLanes(count: number, source: ImageFile, targetPaths: readonly (readonly string[])[]): LaneRunner {
  return async (job, onResults, signal) => {
    await runThreads(count, { kind: 'copy', source, job, targetPaths }, { onResults, signal });
  };
}

/** `count` threads that digest `source` over the job's size. */
export function digestLanes(count: number, source: ImageFile): LaneRunner {
  return async (job, onResults, signal) => {
    await runThreads(count, { kind: 'digest', source, job }, { onResults, signal });
  };
}

/** `count` threads that compare two images. */
export function compareLanes(count: number, first: ImageFile, second: ImageFile): CompareLaneRunner {
  return async (job, onChunks, signal) => {
    const differences = await runThreads(count, { kind: 'compare', first, second, job }, { onChunks, signal });
    const found = differences.filter((difference) => difference !== undefined);
    return found.length === 0 ? undefined : Math.min(...found);
  };
}

interface ThreadListeners {
  readonly onResults?: (results: readonly ChunkResult[]) => void;
  readonly onChunks?: (chunks: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** Starts the threads, returns when all have ended; the first failure stops the others and is thrown. */
async function runThreads(count: number, work: LaneWork, listeners: ThreadListeners): Promise<(number | undefined)[]> {
  throwIfAborted(listeners.signal);
  const job: LaneJob | CompareJob = work.job;
  const control = laneControl(job.control, job.map);
  const stop = (): void => control.stop();
  listeners.signal?.addEventListener('abort', stop);
  let failure: { readonly error: unknown } | undefined;
  try {
    const lanes = Array.from({ length: count }, () =>
      runThread(work, listeners).catch((error: unknown) => {
        failure ??= { error };
        stop();
        return undefined;
      }),
    );
    const differences = await Promise.all(lanes);
    throwIfAborted(listeners.signal);
    if (failure !== undefined) throw failure.error;
    return differences;
  } finally {
    listeners.signal?.removeEventListener('abort', stop);
  }
}

function runThread(work: LaneWork, listeners: ThreadListeners): Promise<number | undefined> {
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
