import type { FileHandle } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import type { ByteSource, GivenOptions } from '@diskmorph/disk-image';
import { ImageError, readBytes, throwIfAborted } from '@diskmorph/disk-image';
import { ioError } from './io-error.ts';
import { packError, unpackError } from './lane-message.ts';
import { openUnnamedFile } from './unnamed-file.ts';
import type {
  AskedRange,
  FromUnwrittenFile,
  PlannedFile,
  ToUnwrittenFile,
  UnwrittenFileWork,
} from './unwritten-file-message.ts';
import { PLANNING_ID } from './unwritten-file-message.ts';

const WORKER_URL = new URL(
  import.meta.url.endsWith('.ts') ? './unwritten-file-worker.ts' : './unwritten-file-worker.js',
  import.meta.url,
);

/** An image that is to be read in another format without being written. */
export interface UnwrittenFileRequest {
  /** Read in the calling thread; closing it is left to the caller. */
  readonly source: ByteSource;
  /** The format that the source is read as; no other file is opened. */
  readonly format: string;
  readonly target: { readonly format: string; readonly options: GivenOptions; readonly fileName: string };
  /** Made before for the same source and target; else one is made, in files in `directory` that have no names. */
  readonly plan?: UnwrittenFilePlan;
  readonly directory: string;
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  /** Milliseconds without a sign of life, while it has something to do, after which the thread is ended; no limit when absent. */
  readonly stallMs?: number;
  /** Ends the work and the thread at once. */
  readonly signal?: AbortSignal;
}

/** Where the bytes of an unwritten file lie. Kept as long as anybody uses it. */
export interface UnwrittenFilePlan {
  readonly sizeBytes: number;
  /** Until the returned function is called its files stay open. */
  use(): () => Promise<void>;
}

/** A file that is not written, read by a thread of its own. */
export interface UnwrittenFile {
  readonly sizeBytes: number;
  readonly plan: UnwrittenFilePlan;
  /** Freshly made bytes of a range inside the file. Throws as reading the source does, `aborted` when it was closed. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the thread at once, whatever it does. */
  close(): Promise<void>;
}

/** Begins a thread and has it plan the file, unless it is planned. Throws as `planUnwrittenTarget`, `io`, `aborted`. */
export async function openUnwrittenFile(request: UnwrittenFileRequest): Promise<UnwrittenFile> {
  throwIfAborted(request.signal);
  const files = request.plan === undefined ? await newFiles(request.directory) : filesOf(request.plan);
  const release = files.use();
  const thread = startThread(request, files);
  const close = async (): Promise<void> => {
    await thread.end(new ImageError('aborted', 'The file was closed'));
    await release();
  };
  try {
    files.planned = await thread.ready;
    const { sizeBytes } = files.planned.target;
    return { sizeBytes, plan: Object.assign(files, { sizeBytes }), read: thread.read, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The files of a plan, while it is made and afterwards. */
interface PlanFiles {
  readonly tables: FileHandle;
  readonly runs: FileHandle;
  planned: PlannedFile | undefined;
  use(): () => Promise<void>;
}

function filesOf(plan: UnwrittenFilePlan): PlanFiles {
  if ('tables' in plan && 'runs' in plan) return plan as UnwrittenFilePlan & PlanFiles;
  throw new Error('assertion failed: a plan was made by openUnwrittenFile');
}

async function newFiles(directory: string): Promise<PlanFiles> {
  try {
    const tables = await openUnnamedFile(directory, `.${randomUUID()}.tables`);
    const runs = await openUnnamedFile(directory, `.${randomUUID()}.runs`);
    let users = 0;
    return {
      tables,
      runs,
      planned: undefined,
      use() {
        users++;
        let released = false;
        return async () => {
          if (released) return;
          released = true;
          if (--users > 0) return;
          await Promise.all([tables.close(), runs.close()]);
        };
      },
    };
  } catch (error) {
    throw ioError('Cannot keep the tables of an image that is not written', error);
  }
}

interface FileThread {
  readonly ready: Promise<PlannedFile>;
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the thread; whoever waits for it hears `why`. */
  end(why: Error): Promise<void>;
}

interface Waiter {
  readonly resolve: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: Error) => void;
}

function startThread(request: UnwrittenFileRequest, files: PlanFiles): FileThread {
  const { source, signal } = request;
  const worker = newWorker(request, files);
  const waiters = new Map<number, Waiter>();
  const ready = Promise.withResolvers<PlannedFile>();
  ready.promise.catch(() => {});
  let asked = PLANNING_ID;
  let ended: Error | undefined;
  let sourceFailure: Error | undefined;
  let isPlanned = false;
  const watch = stallWatch(request.stallMs, () => {
    if (isPlanned && waiters.size === 0) return;
    void end(new ImageError('io', 'Nothing moved for too long while an image was read in another format'));
  });
  const tell = (message: ToUnwrittenFile): void => {
    if (ended !== undefined) return;
    watch.moved();
    if (message.kind === 'source') worker.postMessage(message, [message.bytes.buffer as ArrayBuffer]);
    else worker.postMessage(message);
  };
  const end = async (why: Error): Promise<void> => {
    if (ended === undefined) {
      ended = why;
      watch.end();
      signal?.removeEventListener('abort', abort);
      ready.reject(why);
      for (const waiter of waiters.values()) waiter.reject(why);
      waiters.clear();
    }
    await worker.terminate();
  };
  const abort = (): void =>
    void end(new ImageError('aborted', 'The operation was cancelled', { cause: signal?.reason }));
  signal?.addEventListener('abort', abort);
  if (signal?.aborted === true) abort();
  worker.on('message', (message: FromUnwrittenFile) => {
    watch.moved();
    if (message.kind === 'source') {
      void answer(source, message, (error) => (sourceFailure = error)).then(tell);
    } else if (message.kind === 'progress') request.onProgress?.(message.bytesDone, message.bytesTotal);
    else if (message.kind === 'ready') {
      isPlanned = true;
      ready.resolve(message.planned);
    } else {
      const waiter = waiters.get(message.id);
      waiters.delete(message.id);
      if (message.kind === 'bytes') waiter?.resolve(message.bytes as Uint8Array<ArrayBuffer>);
      else (waiter ?? ready).reject(sourceFailure ?? unpackError(message.error));
    }
  });
  worker.on('error', (error) => void end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', () => void end(new Error('The thread of an image that is not written ended by itself')));
  return {
    ready: ready.promise,
    read: (offset, length) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended);
          return;
        }
        const id = ++asked;
        waiters.set(id, { resolve, reject });
        tell({ kind: 'read', id, offset, length });
      }),
    end,
  };
}

interface StallWatch {
  moved(): void;
  end(): void;
}

/** Calls `onStall` when nothing has moved for so long, and again after each further while. */
function stallWatch(stallMs: number | undefined, onStall: () => void): StallWatch {
  const timer = stallMs === undefined ? undefined : setInterval(onStall, stallMs).unref();
  return { moved: () => void timer?.refresh(), end: () => clearInterval(timer) };
}

/** Memory of one thread for what is no bytes: tables that are read, code. */
const MAX_HEAP_MB = 512;

function newWorker({ source, format, target }: UnwrittenFileRequest, files: PlanFiles): Worker {
  const threads = process.getBuiltinModule('node:worker_threads');
  const workerData: UnwrittenFileWork = {
    sourceSize: source.size,
    format,
    target,
    tablesFd: files.tables.fd,
    runsFd: files.runs.fd,
    planned: files.planned,
  };
  return new threads.Worker(WORKER_URL, { workerData, resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB } });
}

/** What the thread asks for of the source; its errors lose their classes on the way, so that `onFailure` keeps them. */
async function answer(
  source: ByteSource,
  { id, offset, length }: AskedRange,
  onFailure: (error: Error) => void,
): Promise<ToUnwrittenFile> {
  try {
    return { kind: 'source', id, bytes: await readBytes(source, offset, length) };
  } catch (error) {
    onFailure(error instanceof Error ? error : new Error(String(error)));
    return { kind: 'source-failed', id, error: packError(error) };
  }
}
