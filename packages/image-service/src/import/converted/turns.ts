/** Work for the same key that is done by one after the other. */
export interface Turns {
  /** Does the work when those before have ended, however they did. Throws the signal's reason when it fires before. */
  during<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

/** Turns that nobody has. */
export function turns(): Turns {
  const last = new Map<string, Promise<void>>();
  return {
    async during(key, signal, work) {
      const before = last.get(key) ?? Promise.resolve();
      const done = Promise.withResolvers<void>();
      const mine = before.then(() => done.promise);
      last.set(key, mine);
      try {
        await unlessAborted(before, signal);
        return await work();
      } finally {
        done.resolve();
        if (last.get(key) === mine) last.delete(key);
      }
    },
  };
}

async function unlessAborted(waiting: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(signal.reason);
  signal.addEventListener('abort', leave);
  try {
    await Promise.race([waiting, promise]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
