import { ImageError } from '../errors.ts';
import type { WorkMap } from './work-map.ts';
import { nextDataChunk } from './work-map.ts';

const NEXT = 0;
const TURN = 1;
const STOP = 2;
const WRITING = 3;
/** After the words: three numbers (f64) for each target: file, host offset, block. */
const CURSORS_AT = 16;
const CURSOR_NUMBERS = 3;
/** How long a lane sleeps before it looks again whether another one has failed. */
const STOP_POLL_MS = 100;

/**
 * What the lanes of one job share, in a few words of memory: the next chunk to take, whose turn it is to place its
 * units, and the place where the next unit goes.
 */
export interface LaneControl {
  /**
   * Takes the next chunk with data. `from` is where the search began: the chunk after the one taken before, by
   * whichever lane. Results put in the order `from` -> `chunk + 1` -> ... are in guest order.
   */
  take(): TakenChunk | undefined;
  /** True when every earlier chunk has been placed. */
  isMyTurn(chunk: TakenChunk): boolean;
  /** Sleeps until it is this chunk's turn. Throws `aborted` when the job stops. */
  waitForTurn(chunk: TakenChunk): void;
  /** Only in one's turn: where the next unit goes in target number `target`. */
  cursor(target: number): PlacementCursor;
  /** Only in one's turn: where the unit after the placed ones goes. */
  moveCursor(target: number, cursor: PlacementCursor): void;
  /** Only in one's turn: passes the turn on. */
  endTurn(chunk: TakenChunk): void;
  /** True when this lane is now the one that writes; false when another is and this one would not wait for it. */
  beginWriting(wait: boolean): boolean;
  /** Lets another lane write. */
  endWriting(): void;
  /** Makes every lane find that no chunk is left; what was taken is finished. */
  exhaust(): void;
  /** Makes every lane stop soon. */
  stop(): void;
  readonly stopped: boolean;
}

export interface TakenChunk {
  readonly from: number;
  readonly chunk: number;
}

/** The host position behind everything placed so far, in file `file` of the layout. */
export interface PlacementCursor {
  readonly file: number;
  readonly hostOffset: number;
  /** The guest offset of the block that ends at `hostOffset`, where the layout takes blocks; -1 before the first. */
  readonly block: number;
}

/** Memory for a control that starts at `nextChunk`, with one cursor for each target. */
export function createControlMemory(
  shared: boolean,
  nextChunk: number,
  cursors: readonly PlacementCursor[],
): SharedArrayBuffer | ArrayBuffer {
  const size = CURSORS_AT + cursors.length * CURSOR_NUMBERS * 8;
  const memory = shared ? new SharedArrayBuffer(size) : new ArrayBuffer(size);
  const words = new Int32Array(memory, 0, CURSORS_AT / 4);
  words[NEXT] = nextChunk;
  words[TURN] = nextChunk;
  const numbers = new Float64Array(memory, CURSORS_AT);
  cursors.forEach((cursor, target) => numbers.set(packCursor(cursor), target * CURSOR_NUMBERS));
  return memory;
}

function packCursor(cursor: PlacementCursor): number[] {
  return [cursor.file, cursor.hostOffset, cursor.block];
}

/** The control over memory of `createControlMemory`; one for each lane. */
export function laneControl(memory: SharedArrayBuffer | ArrayBuffer, map: WorkMap): LaneControl {
  const words = new Int32Array(memory, 0, CURSORS_AT / 4);
  const numbers = new Float64Array(memory, CURSORS_AT);
  const checkStopped = (): void => {
    if (Atomics.load(words, STOP) !== 0) throw new ImageError('aborted', 'The operation was stopped');
  };
  return {
    take() {
      checkStopped();
      for (;;) {
        const from = Atomics.load(words, NEXT);
        const chunk = nextDataChunk(map, from);
        if (chunk < 0) return undefined;
        if (Atomics.compareExchange(words, NEXT, from, chunk + 1) === from) return { from, chunk };
      }
    },
    isMyTurn: (chunk) => Atomics.load(words, TURN) === chunk.from,
    waitForTurn(chunk) {
      for (let turn = Atomics.load(words, TURN); turn !== chunk.from; turn = Atomics.load(words, TURN)) {
        checkStopped();
        Atomics.wait(words, TURN, turn, STOP_POLL_MS);
      }
    },
    cursor(target) {
      const [file = 0, hostOffset = 0, block = -1] = numbers.subarray(target * CURSOR_NUMBERS);
      return { file, hostOffset, block };
    },
    moveCursor(target, cursor) {
      numbers.set(packCursor(cursor), target * CURSOR_NUMBERS);
    },
    endTurn(chunk) {
      Atomics.store(words, TURN, chunk.chunk + 1);
      Atomics.notify(words, TURN);
    },
    beginWriting(wait) {
      while (Atomics.compareExchange(words, WRITING, 0, 1) !== 0) {
        if (!wait) return false;
        checkStopped();
        Atomics.wait(words, WRITING, 1, STOP_POLL_MS);
      }
      return true;
    },
    endWriting() {
      Atomics.store(words, WRITING, 0);
      Atomics.notify(words, WRITING, 1);
    },
    exhaust() {
      Atomics.store(words, NEXT, map.chunkCount);
    },
    stop() {
      Atomics.store(words, STOP, 1);
      Atomics.notify(words, TURN);
    },
    get stopped() {
      return Atomics.load(words, STOP) !== 0;
    },
  };
}
