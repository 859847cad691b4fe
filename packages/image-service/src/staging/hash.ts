import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { stagingFault } from './errors.ts';

/** What is computed over stored bytes. */
export type HashName = 'md5' | 'sha512';
/** Digests in hex. */
export type Digests<Names extends HashName> = { readonly [Name in Names]: string };

/** How a file is hashed. */
export interface HashWork {
  readonly signal?: AbortSignal;
  /** Hears how many bytes the slowest digest has seen. */
  readonly onBytes?: (done: number, total: number) => void;
}

/** Below this a thread costs more than it brings. */
const WORTH_A_THREAD = 4 * 1024 * 1024;

/** The digests of a file, each computed in a thread of its own beside the event loop. Throws `io`. */
export async function hashFile<Names extends HashName>(
  path: string,
  names: readonly Names[],
  work: HashWork = {},
): Promise<Digests<Names>> {
  try {
    const { size } = await stat(path);
    const digests =
      size < WORTH_A_THREAD ? await hashHere(path, names) : await hashInThreads(path, names, { ...work, size });
    work.onBytes?.(size, size);
    return Object.fromEntries(digests) as Digests<Names>;
  } catch (error) {
    throw stagingFault('The bytes cannot be read for their digests', error);
  }
}

async function hashHere(path: string, names: readonly HashName[]): Promise<[HashName, string][]> {
  const bytes = await readFile(path);
  return names.map((name) => [name, createHash(name).update(bytes).digest('hex')]);
}

async function hashInThreads(
  path: string,
  names: readonly HashName[],
  work: HashWork & { readonly size: number },
): Promise<[HashName, string][]> {
  const done = new Map<string, number>();
  const { onBytes } = work;
  return Promise.all(
    names.map(async (name): Promise<[HashName, string]> => {
      const report = (bytes: number): void => {
        done.set(name, bytes);
        onBytes?.(Math.min(...names.map((each) => done.get(each) ?? 0)), work.size);
      };
      return [name, await hashInThread({ path, algorithm: name }, work.signal, report)];
    }),
  );
}

interface HashMessage {
  readonly done: number;
  readonly digest?: string;
}

function hashInThread(
  workerData: { readonly path: string; readonly algorithm: string },
  signal: AbortSignal | undefined,
  report: (bytes: number) => void,
): Promise<string> {
  // The compiled package holds .js files, the source tree .ts files.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const worker = new Worker(new URL(`./hash-worker.${extension}`, import.meta.url), { workerData });
    const abort = (): void => {
      reject(signal?.reason);
      void worker.terminate();
    };
    signal?.addEventListener('abort', abort);
    worker.on('message', (message: HashMessage) => {
      report(message.done);
      if (message.digest !== undefined) resolve(message.digest);
    });
    worker.on('error', reject);
    worker.on('exit', () => {
      signal?.removeEventListener('abort', abort);
      reject(new Error('The hashing thread ended without a digest'));
    });
  });
}
