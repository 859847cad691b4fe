import { stat } from 'node:fs/promises';
import type { Worker } from 'node:worker_threads';
import { progressMeter, throwIfAborted } from '@diskmorph/disk-image';
import type { ChecksumName, Checksums, ChecksumWork } from './checksum-span.ts';
import { checksumSpan, SPAN_BYTES } from './checksum-span.ts';
import type { FileWork } from './digest-file.ts';
import { ioError } from './io-error.ts';

/** Digests of a file that is still being written from its beginning on: one thread for each follows what is final. */
export interface GrowingChecksums {
  /** Bytes before this one will not change. */
  advance(end: number): void;
  /** The whole file is final: gives the digests. Throws `io`. */
  finish(onBytes?: (done: number) => void): Promise<Checksums>;
  /** Ends the threads; nothing more is given. */
  stop(): Promise<void>;
}

/** Begins to digest the file at `path`, which is there already. */
export function growingChecksums(path: string, names: readonly ChecksumName[]): GrowingChecksums {
  const memory = new SharedArrayBuffer(SPAN_BYTES);
  const span = checksumSpan(memory);
  const threads = names.map((name) => checksumThread({ path, name, memory }));
  return {
    advance: (end) => span.set(end, 'growing'),
    async finish(onBytes) {
      const { size } = await stat(path).catch((error: unknown) => {
        throw ioError(`Cannot read ${path}`, error);
      });
      const slowest = (): number => Math.min(...threads.map((thread) => thread.done()));
      for (const thread of threads) thread.onDone(() => onBytes?.(slowest()));
      span.set(size, 'whole');
      const digests = await Promise.all(threads.map((thread) => thread.digest));
      return Object.fromEntries(names.map((name, index) => [name, digests[index]]));
    },
    async stop() {
      span.set(0, 'stopped');
      await Promise.all(threads.map((thread) => thread.ended));
    },
  };
}

/** Digests of the file at `path`, each in a thread of its own. Throws `io` and `aborted`. */
export async function checksumFile(
  path: string,
  names: readonly ChecksumName[],
  work: Pick<FileWork, 'onProgress' | 'signal'> = {},
): Promise<Checksums> {
  throwIfAborted(work.signal);
  if (names.length === 0) return {};
  const { size } = await stat(path).catch((error: unknown) => {
    throw ioError(`Cannot read ${path}`, error);
  });
  const meter = progressMeter('checksum', size, { now: () => performance.now(), onProgress: work.onProgress });
  const checksums = growingChecksums(path, names);
  const stop = (): void => void checksums.stop();
  work.signal?.addEventListener('abort', stop);
  try {
    const found = await checksums.finish((done) => meter.update(done));
    meter.finish();
    return found;
  } finally {
    work.signal?.removeEventListener('abort', stop);
    await checksums.stop();
    throwIfAborted(work.signal);
  }
}

interface ChecksumThread {
  readonly digest: Promise<string>;
  readonly ended: Promise<void>;
  done(): number;
  onDone(listener: () => void): void;
}

interface ChecksumMessage {
  readonly done: number;
  readonly digest?: string;
}

function checksumThread(workerData: ChecksumWork): ChecksumThread {
  const { Worker: Thread } = process.getBuiltinModule('node:worker_threads');
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker: Worker = new Thread(new URL(`./checksum-worker.${extension}`, import.meta.url), { workerData });
  let done = 0;
  let listener: (() => void) | undefined;
  const digest = new Promise<string>((resolve, reject) => {
    worker.on('message', (message: ChecksumMessage) => {
      done = message.done;
      listener?.();
      if (message.digest !== undefined) resolve(message.digest);
    });
    worker.on('error', (error) => reject(ioError(`Cannot read ${workerData.path}`, error)));
    worker.on('exit', () => reject(new Error('A thread that digests ended before its work was done')));
  });
  // Nobody asks for the digest of a conversion that failed.
  digest.catch(() => {});
  return {
    digest,
    ended: new Promise((resolve) => worker.on('exit', () => resolve())),
    done: () => done,
    onDone(heard) {
      listener = heard;
    },
  };
}
