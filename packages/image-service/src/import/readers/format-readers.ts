import { ImageError } from '@diskmorph/disk-image';
import type { ImageInFormat, ImageTools } from '../image-tools.ts';
import type { ReaderOptions, ReaderProcess } from './reader-process.ts';
import { died, hung, startReader } from './reader-process.ts';

/** Gives images in other formats, each made by a process of its own. */
export interface FormatReaders {
  readonly open: ImageTools['openInFormat'];
  /** Ends all of them. */
  close(): void;
}

/** Such a process can open no file: it gets descriptors of the files that it needs, and asks for bytes that are in none. */
export function formatReaders(options: ReaderOptions): FormatReaders {
  const running = new Set<ReaderProcess>();
  return {
    async open({ source, tablesFd: tables, runsFd: runs, ...order }, { signal, stallMs, ...work }) {
      if (isAborted(signal)) throw cancelled(signal);
      const reader = startReader(options, { read: [], write: [], open: { tables, runs, source } });
      running.add(reader);
      const close = (): void => {
        running.delete(reader);
        reader.kill();
      };
      signal?.addEventListener('abort', close);
      try {
        const given = { ...order, streamedBytes: 'fd' in source ? null : source.sizeBytes };
        const planned = await reader.call('openInFormat', given, { ...work, patienceMs: stallMs });
        return {
          planned,
          get alive() {
            return reader.alive;
          },
          read: (range) => sentRange(reader, range, stallMs),
          close,
        } satisfies ImageInFormat;
      } catch (error) {
        close();
        throw isAborted(signal) ? cancelled(signal) : error;
      } finally {
        signal?.removeEventListener('abort', close);
      }
    },
    close() {
      for (const reader of running) reader.kill();
      running.clear();
    },
  };
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function cancelled(signal: AbortSignal | undefined): ImageError {
  return new ImageError('aborted', 'The operation was cancelled', { cause: signal?.reason });
}

async function* sentRange(
  reader: ReaderProcess,
  range: { readonly offset: number; readonly length: number },
  stallMs: number,
): AsyncGenerator<Uint8Array> {
  const failure = reader.call('sendRange', range).then(
    () => died('it sent too little'),
    (error: unknown) => {
      // Nobody is to wait for what it will not send.
      reader.kill();
      return error;
    },
  );
  const watch = stallWatch(stallMs, () => reader.kill(hung()));
  try {
    for (let left = range.length; left > 0;) {
      const piece = await watch.during(reader.nextBytes());
      if (piece === undefined) throw await failure;
      left -= piece.length;
      if (left < 0) throw died('it sent too much');
      yield piece;
    }
  } finally {
    watch.end();
  }
}

interface StallWatch {
  during<T>(waiting: Promise<T>): Promise<T>;
  end(): void;
}

/** Calls `onStall` when one wait takes so long; what happens between them takes no time of it. */
function stallWatch(stallMs: number, onStall: () => void): StallWatch {
  let isWaiting = false;
  const timer = setTimeout(() => isWaiting && onStall(), stallMs);
  return {
    async during(waiting) {
      isWaiting = true;
      timer.refresh();
      try {
        return await waiting;
      } finally {
        isWaiting = false;
      }
    },
    end: () => clearTimeout(timer),
  };
}
