/** Gives back the memory of a piece that nobody uses any more. A part of a larger buffer stays: others may use the rest. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
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
