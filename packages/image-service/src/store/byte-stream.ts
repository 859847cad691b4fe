/** The chunks until the signal is aborted: then its reason is thrown at once, also while a chunk is awaited. */
export async function* untilAborted(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (signal === undefined) return yield* bytes;
  signal.throwIfAborted();
  const iterator = bytes[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  let ended = false;
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted.promise]);
      ended = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // A generator that is waiting cannot be returned from before its wait ends: nobody waits for that.
    if (!ended) void iterator.return?.()?.catch(() => {});
  }
}
