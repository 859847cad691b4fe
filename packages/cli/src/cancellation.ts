import type { CancelSignal } from './exit-code.ts';
import { EXIT_BY_SIGNAL } from './exit-code.ts';

/** Ctrl-C and its like, turned into an `AbortSignal`. */
export interface Cancellation {
  readonly signal: AbortSignal;
  /** The signal that came, undefined when none did. */
  cause(): CancelSignal | undefined;
  /** Lets signals end the process again. */
  release(): void;
}

const SIGNALS = Object.keys(EXIT_BY_SIGNAL) as CancelSignal[];
/** A terminal's Ctrl-C reaches a program and what started it, which passes it on: the same signal this soon is the same wish. */
const SAME_WISH_MS = 250;

/** Listens to the process's signals: the first cancels, a second ends the process at once. */
export function listenForCancel(now: () => number): Cancellation {
  const controller = new AbortController();
  let first: { readonly signal: CancelSignal; readonly at: number } | undefined;
  const onSignal = (signal: CancelSignal): void => {
    if (first !== undefined && now() - first.at > SAME_WISH_MS) process.exit(EXIT_BY_SIGNAL[signal]);
    if (first !== undefined) return;
    first = { signal, at: now() };
    controller.abort(new Error(`cancelled by ${signal}`));
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    signal: controller.signal,
    cause: () => first?.signal,
    release() {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
}
