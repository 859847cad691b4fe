import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { ContentIdBuilder, ContentIdState } from './content-id.ts';
import { chunkHeight, contentIdBuilder, LEAF_SIZE } from './content-id.ts';
import type { ChunkResult } from './lane.ts';
import type { PlacementCursor } from './lane-control.ts';
import type { RunSpool } from './run-spool.ts';
import type { WorkMap } from './work-map.ts';

/** A point of a job at which everything before `nextChunk` is done and written. Plain data. */
export interface CollectedState {
  readonly nextChunk: number;
  readonly cursor: PlacementCursor;
  /** For each file of the layout: the host offset behind its last unit. */
  readonly ends: readonly number[];
  readonly content: ContentIdState;
  readonly runCount: number;
  readonly chunksDone: number;
  readonly dataBytes: number;
}

/** Puts the results of all lanes in guest order and sums them up. */
export interface ResultCollector {
  accept(results: readonly ChunkResult[]): void;
  /** The state after the last chunk that has no gap before it. */
  state(): CollectedState;
  /** The content id, when every lane has ended. Fails if a result is missing. */
  contentId(): string;
}

/** What a collector starts from. */
export interface CollectorStart {
  readonly virtualSize: number;
  readonly map: WorkMap;
  readonly codecs: Codecs;
  readonly spool: RunSpool;
  readonly state: CollectedState;
}

/** The state of a job that has done nothing. */
export function initialState(fileStarts: readonly number[]): CollectedState {
  return {
    nextChunk: 0,
    cursor: { file: 0, hostOffset: fileStarts[0] ?? 0, block: -1 },
    ends: fileStarts,
    content: { leaves: 0, pending: [] },
    runCount: 0,
    chunksDone: 0,
    dataBytes: 0,
  };
}

/** A collector that goes on from `start.state`. */
export function resultCollector(start: CollectorStart): ResultCollector {
  const { map, spool } = start;
  const waiting = new Map<number, ChunkResult>();
  const content: ContentIdBuilder = contentIdBuilder(start.codecs, start.virtualSize, start.state.content);
  const height = chunkHeight(start.virtualSize, map.chunkSize);
  const ends = [...start.state.ends];
  let { nextChunk, cursor, chunksDone, dataBytes } = start.state;

  const take = (result: ChunkResult): void => {
    const chunk = result.to - 1;
    if (result.digest !== undefined) content.add((chunk * map.chunkSize) / LEAF_SIZE, height, result.digest);
    if (result.cursor !== undefined) {
      cursor = result.cursor;
      ends[cursor.file] = cursor.hostOffset;
    }
    spool.append(result.runs);
    chunksDone++;
    dataBytes += result.dataBytes;
    nextChunk = result.to;
  };
  return {
    accept(results) {
      for (const result of results) waiting.set(result.from, result);
      for (let next = waiting.get(nextChunk); next !== undefined; next = waiting.get(nextChunk)) {
        waiting.delete(next.from);
        take(next);
      }
    },
    state: () => ({
      nextChunk,
      cursor,
      ends: [...ends],
      content: content.state(),
      runCount: spool.count,
      chunksDone,
      dataBytes,
    }),
    contentId() {
      assert(waiting.size === 0, 'no result is left without the one before it');
      return content.finish();
    },
  };
}
