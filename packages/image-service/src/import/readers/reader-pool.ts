import { ImportError } from '../errors.ts';
import type { ReaderFiles, ReaderOptions, ReaderProcess } from './reader-process.ts';
import { startReader } from './reader-process.ts';

/** Readers, lent to one piece of work at a time. */
export interface ReaderPool {
  /** Works with a reader that may open these files. Throws `reader_busy` when none was free for too long. */
  use<T>(files: ReaderFiles, work: (reader: ReaderProcess) => Promise<T>): Promise<T>;
  /** Ends all readers. */
  close(): void;
}

interface LentReader {
  readonly reader: ReaderProcess;
  readonly giveBack: () => void;
}

interface IdleReader {
  readonly reader: ReaderProcess;
  readonly key: string;
  readonly uses: number;
  readonly timer: NodeJS.Timeout;
}

/** A reader that has read so many images is replaced: what one has left behind in it never gets far. */
const MAX_USES = 50;
/** A reader that nobody needs for so long ends. */
const IDLE_MS = 5000;
/** How long somebody waits for a reader to become free. */
const WAIT_MS = 60_000;

/** At most `most` readers at the same time. A reader is used again only for the same files, and only when nothing went wrong. */
export function readerPool(options: ReaderOptions, most: number): ReaderPool {
  const idle: IdleReader[] = [];
  const busy = new Set<ReaderProcess>();
  const waiting: (() => void)[] = [];
  const forget = (one: IdleReader): void => {
    clearTimeout(one.timer);
    idle.splice(idle.indexOf(one), 1);
  };
  const end = (one: IdleReader): void => {
    forget(one);
    one.reader.kill();
  };
  const room = async (): Promise<void> => {
    const deadline = Date.now() + WAIT_MS;
    while (busy.size >= most) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      const timer = setTimeout(resolve, deadline - Date.now());
      await promise;
      clearTimeout(timer);
      if (busy.size >= most && Date.now() >= deadline) {
        throw new ImportError('reader_busy', 'Too many images are being read now; try again later');
      }
    }
  };
  const lend = async (files: ReaderFiles): Promise<LentReader> => {
    await room();
    const key = JSON.stringify(files);
    const known = idle.find((one) => one.key === key && one.reader.alive);
    if (known !== undefined) forget(known);
    for (const other of idle.slice(0, Math.max(0, busy.size + idle.length + 1 - most))) end(other);
    const reader = known?.reader ?? startReader(options, files);
    const uses = (known?.uses ?? 0) + 1;
    busy.add(reader);
    reader.hold('kept');
    const giveBack = (): void => {
      if (!busy.delete(reader)) return;
      waiting.shift()?.();
      if (!reader.alive || uses >= MAX_USES) return reader.kill();
      reader.hold('free');
      const one: IdleReader = { reader, key, uses, timer: setTimeout(() => end(one), IDLE_MS).unref() };
      idle.push(one);
    };
    return { reader, giveBack };
  };
  return {
    async use(files, work) {
      const { reader, giveBack } = await lend(files);
      try {
        return await work(reader);
      } finally {
        giveBack();
      }
    },
    close() {
      for (const { reader, timer } of idle.splice(0)) {
        clearTimeout(timer);
        reader.kill();
      }
      for (const reader of busy) reader.kill();
    },
  };
}
