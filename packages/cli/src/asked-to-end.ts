import { once } from 'node:events';

/** The signal that drains a process: it finishes its tasks, takes no others, and ends. */
const DRAIN_SIGNAL = 'SIGUSR1';

/**
 * Returns when the process is asked to end: at once when `signal` fires, when `finish` has returned after the signal that
 * drains. A signal that fires meanwhile ends that too.
 */
export async function untilAskedToEnd(
  signal: AbortSignal,
  finish: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  if (signal.aborted) return;
  const drained = Promise.withResolvers<void>();
  const drain = (): void => void finish(signal).then(drained.resolve, drained.reject);
  process.once(DRAIN_SIGNAL, drain);
  try {
    await Promise.race([once(signal, 'abort'), drained.promise]);
  } finally {
    process.off(DRAIN_SIGNAL, drain);
  }
}
