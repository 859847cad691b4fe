import type { PlacedRun } from '../image/target.ts';
import { assert } from '../errors.ts';

/** Numbers (f64) that one packed run takes: file, guest offset, unit count, host offset, stored length, detail. */
export const PACKED_RUN_NUMBERS: number = 6;
const BATCH_RUNS = 4096;

/** Keeps the placed runs of a conversion until `finish` reads them, in guest order. */
export interface RunSpool {
  append(runs: readonly PlacedRun[]): void;
  /** Runs appended so far. */
  readonly count: number;
  /** Returns when all that was appended is stored as durably as this spool stores. */
  flush(): Promise<void>;
  read(): AsyncIterable<readonly PlacedRun[]>;
}

/** A spool whose runs can be read again from anywhere. */
export interface ReadableRunSpool extends RunSpool {
  /** `count` runs, all of which were appended, from number `first` on. */
  readAt(first: number, count: number): Promise<readonly PlacedRun[]>;
}

/** A spool in memory: 48 bytes a run. */
export function memoryRunSpool(): ReadableRunSpool {
  const batches: Float64Array[] = [];
  let filled = BATCH_RUNS;
  let count = 0;
  const push = (run: PlacedRun): void => {
    if (filled === BATCH_RUNS) {
      batches.push(new Float64Array(BATCH_RUNS * PACKED_RUN_NUMBERS));
      filled = 0;
    }
    const batch = batches.at(-1);
    assert(batch !== undefined, 'there is a batch to fill');
    packRun(batch, filled++, run);
    count++;
  };
  return {
    append: (runs) => runs.forEach(push),
    get count() {
      return count;
    },
    async flush() {},
    async *read() {
      for (const [index, batch] of batches.entries()) {
        yield unpackRuns(batch, index === batches.length - 1 ? filled : BATCH_RUNS);
      }
    },
    async readAt(first, wanted) {
      assert(first >= 0 && first + wanted <= count, 'the runs are there');
      const runs: PlacedRun[] = [];
      while (runs.length < wanted) {
        const position = first + runs.length;
        const index = position % BATCH_RUNS;
        const take = Math.min(wanted - runs.length, BATCH_RUNS - index);
        const batch = batches[Math.floor(position / BATCH_RUNS)]?.subarray(index * PACKED_RUN_NUMBERS);
        assert(batch !== undefined, 'a batch that was filled is there');
        runs.push(...unpackRuns(batch, take));
      }
      return runs;
    },
  };
}

/** Puts `run` at position `index` of a packed batch. */
export function packRun(batch: Float64Array, index: number, run: PlacedRun): void {
  const { file, guestOffset, unitCount, hostOffset, storedLength, detail } = run;
  batch.set([file, guestOffset, unitCount, hostOffset, storedLength, detail], index * PACKED_RUN_NUMBERS);
}

/** The first `count` runs of a packed batch. */
export function unpackRuns(batch: Float64Array, count: number): PlacedRun[] {
  return Array.from({ length: count }, (_, index) => {
    const at = (field: number): number => batch[index * PACKED_RUN_NUMBERS + field] ?? 0;
    return {
      file: at(0),
      guestOffset: at(1),
      unitCount: at(2),
      hostOffset: at(3),
      storedLength: at(4),
      detail: at(5),
    };
  });
}
