import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { ByteSource } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import { ImportError } from '../errors.ts';
import type { SourceAtHand, ToolWork } from '../image-tools.ts';
import { outOfMemory, packError, unpackError } from './packed-error.ts';
import type { FromReader, ReaderCalls, ToReader } from './reader-messages.ts';
import { MAX_HANDED_BYTES, READER_FDS } from './reader-messages.ts';
import { piecesFrom, rangesInto } from './reader-pipes.ts';

/** What a reader is, and what it may. */
export interface ReaderOptions {
  /** The file that it starts from. */
  readonly entry: string;
  /** The folders that its code is in. */
  readonly code: readonly string[];
  /** Bytes of memory that an image may make it take, above what it takes by itself. */
  readonly memoryBytes: number;
  /** Threads of one conversion; 0: as the machine has them. */
  readonly threads: number;
  /** Hears for operators what a reader said when it died. */
  readonly log: (message: string) => void;
}

/** Files that a reader may open, besides its own code: a folder ends with a slash. */
export interface ReaderFiles {
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Files that are open already, for a reader that makes an image in another format. */
  readonly open?: { readonly tables: number; readonly runs: number; readonly source: SourceAtHand };
}

/** How one call is watched. */
export interface CallWork extends ToolWork {
  /** May so many more bytes be written? Throws when they may not. */
  readonly room?: (bytes: number) => Promise<void>;
  /** Milliseconds without an answer or progress after which the reader is taken to hang; never when absent. */
  readonly patienceMs?: number;
}

/** A process that reads images. */
export interface ReaderProcess {
  /** It can be asked. */
  readonly alive: boolean;
  /** Throws what the call throws there; `reader_hung`, `reader_died`, `reader_out_of_memory`, and the signal's reason. */
  call<Method extends keyof ReaderCalls>(
    method: Method,
    of: ReaderCalls[Method]['of'],
    work?: CallWork,
  ): Promise<ReaderCalls[Method]['gives']>;
  /** Lets the process read bytes by the number that is given. */
  hand(source: ByteSource): { readonly source: number; take(): void };
  /** What it sends of an image in another format; undefined when there will be no more. */
  nextBytes(): Promise<Uint8Array | undefined>;
  /** Does it keep this process from ending? */
  hold(kept: 'kept' | 'free'): void;
  /** `reason`: what calls under way hear. */
  kill(reason?: Error): void;
}

/** How long a reader may take until it can be asked. */
const START_MS = 60_000;
/** How long a reader that was told to stop may take before it is killed. */
const STOP_MS = 3000;
/** What Node itself sets aside for each of its threads, whatever runs there; it counts as data. */
const NODE_BYTES_PER_THREAD = 576 * 2 ** 20;
/** The thread that watches the lifeline, and the main one. */
const OWN_THREADS = 2;
const MAX_LAST_WORDS = 8192;
const SHELL = '/bin/sh';
/** Sets the limits and becomes the program: no core file, and so many KiB of data. */
const LIMITED = 'ulimit -c 0; ulimit -d "$0"; exec "$@"';

/** Starts a reader that may open these files and no others. */
export function startReader(options: ReaderOptions, files: ReaderFiles): ReaderProcess {
  const child = spawnReader(options, files);
  const pipes: readonly unknown[] = child.stdio;
  const bytes = pipes[READER_FDS.bytes];
  const streamRange = rangesInto(pipes[READER_FDS.source], files.open?.source);
  const calls = new Map<number, OpenCall>();
  const sources = new Map<number, ByteSource>();
  const counts = { calls: 0, sources: 0 };
  let alive = true;
  let sourceFailed = false;
  let lastWords = '';
  (child.stderr as Readable).on('data', (data: Buffer) => {
    lastWords = (lastWords + data.toString()).slice(-MAX_LAST_WORDS);
  });
  const started = Promise.withResolvers<void>();
  started.promise.catch(() => {});
  const end = (reason: Error): void => {
    if (!alive) return;
    alive = false;
    started.reject(reason);
    for (const call of calls.values()) call.reject(reason);
    calls.clear();
  };
  const kill = (reason: Error): void => {
    end(reason);
    child.kill('SIGKILL');
    // What is in them would keep them open.
    for (const pipe of [bytes, pipes[READER_FDS.source]]) if (pipe instanceof Duplex) pipe.destroy();
  };
  const post = (message: ToReader): void => {
    // When it cannot be told any more its end is heard of in another way.
    if (child.connected) child.send(message, () => {});
  };
  child.on('error', () => end(notStarted()));
  child.on('close', (code, signal) => {
    if (!alive) return;
    if (calls.size > 0) options.log(`a reader of images died (${signal ?? code}): ${lastWords.trim()}`);
    end(/out of memory|allocation failed/i.test(lastWords) ? outOfMemory() : died(String(signal ?? code)));
  });
  const tellFailure = (failure: ToReader | undefined): void => {
    if (failure === undefined) return;
    sourceFailed = true;
    post(failure);
  };
  const starting = setTimeout(() => kill(notStarted()), START_MS).unref();
  child.on('message', (message: FromReader) => {
    if ('ready' in message) {
      clearTimeout(starting);
      started.resolve();
    } else if ('room' in message) void giveRoom(calls, message).then(post);
    else if ('streamed' in message) void streamRange(message).then(tellFailure);
    else if ('wanted' in message) void handOver(sources, message).then(post);
    else hear(calls, message);
  });
  return {
    get alive() {
      return alive && child.connected && !sourceFailed;
    },
    async call(method, of, work = {}) {
      await started.promise;
      work.signal?.throwIfAborted();
      const call = counts.calls++;
      const abort = (): void => {
        post({ abort: call });
        const killed = delay(STOP_MS, undefined, { ref: false });
        void killed.then(() => calls.has(call) && kill(abortReason(work.signal)));
      };
      const patience = watchOf(work.patienceMs, () => kill(hung()));
      work.signal?.addEventListener('abort', abort);
      try {
        if (!alive) throw died('it had ended before');
        const answer = new Promise<unknown>((resolve, reject) => {
          calls.set(call, { resolve, reject, moved: patience.moved, onBytes: work.onBytes, room: work.room });
        });
        post({ call, method, of });
        // The border keeps no types: both sides are of one build.
        return (await answer) as ReaderCalls[typeof method]['gives'];
      } catch (error) {
        throw work.signal?.aborted === true ? abortReason(work.signal) : error;
      } finally {
        patience.end();
        work.signal?.removeEventListener('abort', abort);
        calls.delete(call);
      }
    },
    hand(source) {
      const number = counts.sources++;
      sources.set(number, source);
      return { source: number, take: () => void sources.delete(number) };
    },
    nextBytes: piecesFrom(bytes),
    hold(kept) {
      const handles = [child, child.channel, child.stderr, ...child.stdio.slice(READER_FDS.lifeline)];
      for (const handle of handles) {
        const counted = handle as { ref?(): void; unref?(): void } | null | undefined;
        if (kept === 'kept') counted?.ref?.();
        else counted?.unref?.();
      }
    },
    kill: (reason = died('it was ended')) => kill(reason),
  };
}

interface OpenCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly moved: () => void;
  readonly onBytes: ToolWork['onBytes'];
  readonly room: CallWork['room'];
}

function hear(
  calls: ReadonlyMap<number, OpenCall>,
  message: Exclude<FromReader, { readonly ready: true } | { readonly wanted: number }>,
): void {
  const call = calls.get(message.call);
  if ('done' in message) {
    call?.moved();
    call?.onBytes?.(message.done, message.total);
  } else if ('error' in message) {
    call?.reject(unpackError(message.error));
  } else {
    call?.resolve(message.gives);
  }
}

async function handOver(
  sources: ReadonlyMap<number, ByteSource>,
  { wanted, source, offset, length }: Extract<FromReader, { readonly source: number }>,
): Promise<ToReader> {
  try {
    const from = sources.get(source);
    if (from === undefined || length > MAX_HANDED_BYTES) throw new ImageError('io', 'These bytes are not handed over');
    const bytes = new Uint8Array(length);
    await from.read(offset, bytes);
    return { handed: wanted, bytes };
  } catch (error) {
    return { handed: wanted, error: packError(error) };
  }
}

async function giveRoom(
  calls: ReadonlyMap<number, OpenCall>,
  { wanted, call, room }: Extract<FromReader, { readonly room: number }>,
): Promise<ToReader> {
  try {
    const give = calls.get(call)?.room;
    if (give === undefined) throw new ImageError('io', 'Nothing may be written here');
    await give(room);
    return { handed: wanted, room: true };
  } catch (error) {
    return { handed: wanted, error: packError(error) };
  }
}

function spawnReader(
  { entry, code, memoryBytes, threads }: ReaderOptions,
  { read, write, open }: ReaderFiles,
): ChildProcess {
  const source = entry.endsWith('.ts') ? ['--conditions=source'] : [];
  const readable = [...code, ...read, ...write];
  const node = [
    ...source,
    '--no-warnings',
    '--permission',
    '--allow-worker',
    // Flushing files, and the codecs of the system; a reader that only inspects needs neither.
    ...(write.length > 0 || open !== undefined ? ['--allow-ffi'] : []),
    ...readable.map((path) => `--allow-fs-read=${path}`),
    ...write.map((path) => `--allow-fs-write=${path}`),
    `--max-old-space-size=${Math.ceil(memoryBytes / 2 ** 20)}`,
    entry,
    String(threads),
  ];
  const lanes = write.length > 0 ? (threads === 0 ? availableParallelism() : threads) : 0;
  const dataBytes = memoryBytes + NODE_BYTES_PER_THREAD * (OWN_THREADS + lanes);
  const limited = ['-c', LIMITED, String(Math.ceil(dataBytes / 1024)), process.execPath, ...node];
  const [program, parameters] = existsSync(SHELL) ? [SHELL, limited] : [process.execPath, node];
  return spawn(program, parameters, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', ...furtherFds(open)],
    serialization: 'advanced',
    env: {},
  });
}

/** In the order of `READER_FDS`. */
function furtherFds(open: ReaderFiles['open']): ('pipe' | 'ignore' | number)[] {
  const lifeline = 'pipe';
  if (open === undefined) return [lifeline];
  return [lifeline, 'pipe', open.tables, open.runs, 'fd' in open.source ? open.source.fd : 'pipe'];
}

function watchOf(patienceMs: number | undefined, onEnd: () => void): { moved(): void; end(): void } {
  if (patienceMs === undefined) return { moved: () => {}, end: () => {} };
  const timer = setTimeout(onEnd, patienceMs);
  return { moved: () => void timer.refresh(), end: () => clearTimeout(timer) };
}

/** No fault of any image. */
function notStarted(): ImportError {
  return new ImportError('reader_busy', 'No process could be started to read the image; try again later');
}

/** The reader of an image moved no more. */
export function hung(): ImportError {
  return new ImportError('reader_hung', 'Reading the image took too long without an end');
}

/** The reader of an image ended; `how`: a signal, or what happened. */
export function died(how: string): ImportError {
  return new ImportError('reader_died', `Reading the image made its reader fail (${how})`);
}

function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new ImageError('aborted', 'The operation was cancelled');
}
