import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { TargetLayout } from '../image/target.ts';
import type { ContentIdBuilder, ContentIdState } from './content-id.ts';
import { chunkHeight, contentIdBuilder, LEAF_SIZE } from './content-id.ts';
import type { ChunkResult, PlacedChunk } from './lane.ts';
import type { PlacementCursor } from './lane-control.ts';
import type { RunSpool } from './run-spool.ts';
import type { WorkMap } from './work-map.ts';

/** A point of a job at which everything before `nextChunk` is done and written. Plain data. */
export interface CollectedState {
  readonly nextChunk: number;
  readonly content: ContentIdState;
  readonly chunksDone: number;
  readonly dataBytes: number;
  /** One for each target. */
  readonly targets: readonly TargetState[];
}

/** What has been appended to one target. Plain data. */
export interface TargetState {
  readonly cursor: PlacementCursor;
  /** For each file of the layout: the host offset behind its last unit. */
  readonly ends: readonly number[];
  readonly runCount: number;
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
  /** One for each target. */
  readonly spools: readonly RunSpool[];
  readonly state: CollectedState;
}

/** The state of a job that has done nothing. */
export function initialState(layouts: readonly TargetLayout[]): CollectedState {
  const targets = layouts.map(({ files }) => ({
    cursor: { file: 0, hostOffset: files[0]?.hostOffset ?? 0, block: -1 },
    ends: files.map((file) => file.hostOffset),
    runCount: 0,
  }));
  return { nextChunk: 0, content: { leaves: 0, pending: [] }, chunksDone: 0, dataBytes: 0, targets };
}

/** A collector that goes on from `start.state`. */
export function resultCollector(start: CollectorStart): ResultCollector {
  const { map, spools } = start;
  const waiting = new Map<number, ChunkResult>();
  const content: ContentIdBuilder = contentIdBuilder(start.codecs, start.virtualSize, start.state.content);
  const height = chunkHeight(start.virtualSize, map.chunkSize);
  const targets = start.state.targets.map(({ cursor, ends }) => ({ cursor, ends: [...ends] }));
  let { nextChunk, chunksDone, dataBytes } = start.state;

  const takePlaced = (placed: PlacedChunk, index: number): void => {
    const target = targets[index];
    if (placed === undefined || target === undefined) return;
    target.cursor = placed.cursor;
    target.ends[placed.cursor.file] = placed.cursor.hostOffset;
    spools[index]?.append(placed.runs);
  };

  const take = (result: ChunkResult): void => {
    const chunk = result.to - 1;
    if (result.digest !== undefined) content.add((chunk * map.chunkSize) / LEAF_SIZE, height, result.digest);
    result.placed.forEach(takePlaced);
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
      content: content.state(),
      chunksDone,
      dataBytes,
      targets: targets.map(({ cursor, ends }, index) => ({
        cursor,
        ends: [...ends],
        runCount: spools[index]?.count ?? 0,
      })),
    }),
    contentId() {
      assert(waiting.size === 0, 'no result is left without the one before it');
      return content.finish();
    },
  };
}
