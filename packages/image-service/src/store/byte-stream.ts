/** Who lent the memory, of those pieces whose memory is used again. */
const lenders = new WeakMap<ArrayBufferLike, (memory: Uint8Array) => void>();

/**
 * Gives back the memory of a piece that nobody uses any more: to whoever lent it, or to the system. A part of a larger buffer
 * stays: others may use the rest.
 */
export function giveBack(piece: Uint8Array): void {
  const { buffer, byteLength } = piece;
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== byteLength) return;
  const take = lenders.get(buffer);
  if (take === undefined) buffer.transfer(0);
  else take(piece);
}

/** Memory that is lent and comes back by `giveBack`; what does not come back is left to the garbage collector. */
export interface LentMemory {
  /** Its content is that of before. */
  take(): Uint8Array;
}

/** Lends pieces of one length. */
export function lentMemory(length: number): LentMemory {
  const free: Uint8Array[] = [];
  const takeBack = (memory: Uint8Array): void => {
    // Twice would lend it to two.
    if (!free.some(({ buffer }) => buffer === memory.buffer)) free.push(memory);
  };
  return {
    take() {
      const known = free.pop();
      if (known !== undefined) return known;
      const memory = new Uint8Array(length);
      lenders.set(memory.buffer, takeBack);
      return memory;
    },
  };
}

/** The chunks until the signal is aborted: then its reason is thrown at once, also while a chunk is awaited. */
export async function* untilAborted(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (signal === undefined) return yield* bytes;
  const iterator = bytes[Symbol.asyncIterator]();
  // One rejection for each wait: a promise that outlives them all would keep something of each.
  let stopWaiting: ((reason: unknown) => void) | undefined;
  const abort = (): void => stopWaiting?.(signal.reason);
  const next = (): Promise<IteratorResult<Uint8Array>> => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array>>();
    stopWaiting = reject;
    iterator.next().then(resolve, reject);
    return promise;
  };
  signal.addEventListener('abort', abort, { once: true });
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await next();
      ended = done === true;
      if (done === true) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // A generator that is waiting cannot be returned from before its wait ends: nobody waits for that.
    if (!ended) void iterator.return?.()?.catch(() => {});
  }
}
