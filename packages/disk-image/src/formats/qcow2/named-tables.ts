import { MAX_CHECKED_TABLES } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';

/** An L2 table, and how many L1 entries name it. */
export interface NamedTable {
  readonly hostOffset: number;
  /** The first guest byte that it describes, by the entry that names it first. */
  readonly guestOffset: number;
  /** Entries of all L1 tables. */
  readonly times: number;
  /** Entries of the active L1 table. */
  readonly activeTimes: number;
}

/** L2 tables, each once however often it is named: snapshots share what did not change since. */
export interface NamedTables extends Iterable<NamedTable> {
  /** Throws `unsupported` for more than `MAX_CHECKED_TABLES`. */
  add(hostOffset: number, guestOffset: number, active: boolean): void;
}

/** No tables yet; they come in the order in which they are first named. */
export function namedTables(): NamedTables {
  const indexes = new Map<number, number>();
  const guestOffsets: number[] = [];
  const times: number[] = [];
  const activeTimes: number[] = [];
  return {
    add(hostOffset, guestOffset, active) {
      let index = indexes.get(hostOffset);
      if (index === undefined) {
        index = indexes.size;
        if (index >= MAX_CHECKED_TABLES) {
          const message = `The image has more than ${MAX_CHECKED_TABLES} L2 tables to check`;
          throw qcow2Error('unsupported', message, { structure: 'L2 table' });
        }
        indexes.set(hostOffset, index);
        guestOffsets.push(guestOffset);
        times.push(0);
        activeTimes.push(0);
      }
      times[index] = (times[index] ?? 0) + 1;
      if (active) activeTimes[index] = (activeTimes[index] ?? 0) + 1;
    },
    *[Symbol.iterator]() {
      for (const [hostOffset, index] of indexes) {
        const guestOffset = guestOffsets[index] ?? 0;
        yield { hostOffset, guestOffset, times: times[index] ?? 0, activeTimes: activeTimes[index] ?? 0 };
      }
    },
  };
}
