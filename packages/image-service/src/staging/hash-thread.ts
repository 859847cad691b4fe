import { Worker } from 'node:worker_threads';
import type { HashName, HashNews, HashOrder } from './hash-messages.ts';

/** Hears of one digest. */
export interface DigestListener {
  /** A slot of the stream may be filled again. */
  readonly onSlot?: (slot: number) => void;
  /** So many bytes of the file were read. */
  readonly onBytes?: (done: number) => void;
}

/** One digest that a thread is computing. */
export interface DigestInThread {
  /** In hex, once everything was given. Rejects when the thread fails or dies. */
  readonly hex: Promise<string>;
  update(slot: number, length: number): void;
  /** Nothing more comes. */
  finish(): void;
  /** Nobody wants the digest any more. */
  drop(reason: unknown): void;
}

/** A thread that computes digests; it keeps no program alive while it has none to compute. */
export interface HashThread {
  /** Digests that are being computed. */
  readonly load: number;
  /** Can nothing be asked of it any more? */
  readonly dead: boolean;
  stream(algorithm: HashName, slots: SharedArrayBuffer, listener: DigestListener): DigestInThread;
  file(algorithm: HashName, path: string, listener: DigestListener): DigestInThread;
  close(): Promise<void>;
}

interface OpenDigest extends DigestListener {
  readonly resolve: (hex: string) => void;
  readonly reject: (error: unknown) => void;
}

/** Starts a thread. */
export function startHashThread(): HashThread {
  // The compiled package holds .js files, the source tree .ts files.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./hash-worker.${extension}`, import.meta.url));
  const open = new Map<number, OpenDigest>();
  let count = 0;
  let dead = false;
  const settle = (digest: number): OpenDigest | undefined => {
    const found = open.get(digest);
    open.delete(digest);
    if (open.size === 0) worker.unref();
    return found;
  };
  const die = (error: unknown): void => {
    dead = true;
    for (const digest of open.keys()) settle(digest)?.reject(error);
  };
  worker.unref();
  worker.on('message', (news: HashNews) => {
    if ('slot' in news) open.get(news.digest)?.onSlot?.(news.slot);
    else if ('done' in news) open.get(news.digest)?.onBytes?.(news.done);
    else if ('hex' in news) settle(news.digest)?.resolve(news.hex);
    else settle(news.digest)?.reject(news.error);
  });
  worker.on('error', die);
  worker.on('exit', () => die(new Error('The hashing thread ended without a digest')));

  const begin = (listener: DigestListener, order: (digest: number) => HashOrder): DigestInThread => {
    const digest = count++;
    const send = (next: HashOrder): void => worker.postMessage(next);
    const hex = new Promise<string>((resolve, reject) => open.set(digest, { ...listener, resolve, reject }));
    // Whoever waits for it hears of its failure; it must not end the program before somebody does.
    hex.catch(() => {});
    worker.ref();
    send(order(digest));
    return {
      hex,
      update: (slot, length) => send({ kind: 'update', digest, slot, length }),
      finish: () => send({ kind: 'finish', digest }),
      drop(reason) {
        send({ kind: 'drop', digest });
        settle(digest)?.reject(reason);
      },
    };
  };
  return {
    get load() {
      return open.size;
    },
    get dead() {
      return dead;
    },
    stream: (algorithm, slots, listener) => begin(listener, (digest) => ({ kind: 'open', digest, algorithm, slots })),
    file: (algorithm, path, listener) => begin(listener, (digest) => ({ kind: 'file', digest, algorithm, path })),
    close: async () => void (await worker.terminate()),
  };
}
