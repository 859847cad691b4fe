import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { stagingFault } from './errors.ts';
import type { HashName } from './hash-messages.ts';
import type { HashStream } from './hash-stream.ts';
import { hashStream, slotMemory } from './hash-stream.ts';
import type { HashThread } from './hash-thread.ts';
import { startHashThread } from './hash-thread.ts';

export type { HashName } from './hash-messages.ts';

/** Digests in hex. */
export type Digests<Names extends HashName> = { readonly [Name in Names]: string };

/** How a file is hashed. */
export interface HashWork {
  readonly signal?: AbortSignal;
  /** Hears how many bytes the slowest digest has seen. */
  readonly onBytes?: (done: number, total: number) => void;
}

/** Threads that compute digests beside the event loop, for everybody in the process. */
export interface HashThreads {
  /** The digests of a file, each in another thread. Throws `io`, and the reason of the signal. */
  file<Names extends HashName>(path: string, names: readonly Names[], work?: HashWork): Promise<Digests<Names>>;
  /** Digests of bytes that come one after the other. */
  stream<Names extends HashName>(names: readonly Names[]): HashStream<Names>;
  /** Ends the threads; what they were computing fails. */
  close(): Promise<void>;
}

/** Below this a thread costs more than it brings. */
const WORTH_A_THREAD = 4 * 1024 * 1024;
/** At least one thread for each of the two digests; more than this would only take the disks from each other. */
const THREAD_BOUNDS = { least: 2, most: 8 };

/** Threads that are started when they are first needed, at most as many as the machine has processors. */
export function hashThreads(): HashThreads {
  const most = Math.min(THREAD_BOUNDS.most, Math.max(THREAD_BOUNDS.least, availableParallelism()));
  const threads: HashThread[] = [];
  const memory = slotMemory();
  /** `count` different threads, those with the least to do. */
  const choose = (count: number): readonly HashThread[] => {
    for (const [index, thread] of threads.entries()) if (thread.dead) threads[index] = startHashThread();
    const idle = threads.filter(({ load }) => load === 0).length;
    const missing = Math.min(count - idle, most - threads.length);
    for (let started = 0; started < missing; started++) threads.push(startHashThread());
    return threads.toSorted((a, b) => a.load - b.load).slice(0, count);
  };
  return {
    async file<Names extends HashName>(path: string, names: readonly Names[], work: HashWork = {}) {
      try {
        const { size } = await stat(path);
        work.signal?.throwIfAborted();
        const digests =
          size < WORTH_A_THREAD
            ? await hashHere(path, names)
            : await hashFile(choose(names.length), { path, names, work, size });
        work.onBytes?.(size, size);
        return Object.fromEntries(digests) as Digests<Names>;
      } catch (error) {
        throw stagingFault('The bytes cannot be read for their digests', error);
      }
    },
    stream: (names) => hashStream(names, choose(names.length), memory),
    close: async () => void (await Promise.all(threads.splice(0).map((thread) => thread.close()))),
  };
}

async function hashHere(path: string, names: readonly HashName[]): Promise<[HashName, string][]> {
  const bytes = await readFile(path);
  return names.map((name) => [name, createHash(name).update(bytes).digest('hex')]);
}

interface HashedFile {
  readonly path: string;
  readonly names: readonly HashName[];
  readonly work: HashWork;
  readonly size: number;
}

async function hashFile(
  threads: readonly HashThread[],
  { path, names, work, size }: HashedFile,
): Promise<[HashName, string][]> {
  const { signal, onBytes } = work;
  const done = new Map<string, number>();
  const digests = names.map((name, index) => {
    const report = (bytes: number): void => {
      done.set(name, bytes);
      onBytes?.(Math.min(...names.map((each) => done.get(each) ?? 0)), size);
    };
    const thread = threads[index % threads.length];
    if (thread === undefined) throw new Error('assertion failed: there is a thread for each digest');
    return { name, digest: thread.file(name, path, { onBytes: report }) };
  });
  const drop = (): void => {
    for (const { digest } of digests) digest.drop(signal?.reason);
  };
  signal?.addEventListener('abort', drop);
  try {
    return await Promise.all(
      digests.map(async ({ name, digest }): Promise<[HashName, string]> => [name, await digest.hex]),
    );
  } catch (error) {
    for (const { digest } of digests) digest.drop(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', drop);
  }
}
