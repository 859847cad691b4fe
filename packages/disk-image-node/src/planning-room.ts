import type { ByteSource, ReadableRunSpool, ReadableSink } from '@diskmorph/disk-image';
import { PACKED_RUN_NUMBERS } from '@diskmorph/disk-image';

/** Returns when so many more bytes may be written; throws when they may not. */
export type AskForRoom = (bytes: number) => Promise<void>;

interface PlanningFiles {
  readonly tables: ReadableSink;
  readonly runs: ReadableRunSpool;
}

/** The same files and source; what is written to the files has been asked for before. */
export interface PlanningRoom {
  files(files: PlanningFiles): PlanningFiles;
  source(source: ByteSource): ByteSource;
}

/** Bytes that are asked for at once. */
const STEP_BYTES = 16 * 2 ** 20;
/** More is asked for when so few are left: what is written between two pauses is less. */
const LEAST_LEFT_BYTES = STEP_BYTES / 2;
/** What a file takes of a disk for a single byte. */
const BLOCK_BYTES = 4096;
const RUN_BYTES = PACKED_RUN_NUMBERS * Float64Array.BYTES_PER_ELEMENT;

/** Asks for room a step ahead of what is written. Runs cannot wait for an answer: reading the source waits for them. */
export function planningRoom(ask: AskForRoom = async () => {}): PlanningRoom {
  let used = 0;
  let granted = 0;
  const settle = async (): Promise<void> => {
    if (used === 0 || used + LEAST_LEFT_BYTES <= granted) return;
    await ask(Math.max(0, used - granted) + STEP_BYTES);
    granted = used + STEP_BYTES;
  };
  return {
    files: ({ tables, runs }) => ({
      tables: {
        get size() {
          return tables.size;
        },
        async write(offset, bytes) {
          used += Math.ceil(((offset % BLOCK_BYTES) + bytes.length) / BLOCK_BYTES) * BLOCK_BYTES;
          await settle();
          await tables.write(offset, bytes);
        },
        zero: (offset, bytes) => tables.zero(offset, bytes),
        truncate: (size) => tables.truncate(size),
        read: (offset, into) => tables.read(offset, into),
        flush: () => tables.flush(),
        close: () => tables.close(),
      },
      runs: {
        append(appended) {
          used += appended.length * RUN_BYTES;
          runs.append(appended);
        },
        get count() {
          return runs.count;
        },
        flush: () => runs.flush(),
        read: () => runs.read(),
        readAt: (first, count) => runs.readAt(first, count),
      },
    }),
    source: (source) => ({
      ...source,
      async read(offset, into, signal) {
        await settle();
        await source.read(offset, into, signal);
      },
    }),
  };
}
