/**
 * The last bytes that a decoder produced, as a ring: matches are copied from here, and what is new is handed out before
 * it is overwritten. It grows as it is filled, so that a small stream with a large dictionary takes little memory.
 */
export interface SlidingWindow {
  bytes: Uint8Array;
  readonly size: number;
  /** Where the next byte goes. */
  at: number;
  /** The first byte that was not handed out yet. */
  handedOut: number;
  /** Bytes that a match may reach back to, at most `size`. */
  valid: number;
}

const FIRST_BYTES = 1024 * 1024;

/** An empty window of `size` bytes, at least 1. */
export function slidingWindow(size: number): SlidingWindow {
  return { bytes: new Uint8Array(Math.min(size, FIRST_BYTES)), size, at: 0, handedOut: 0, valid: 0 };
}

/** Puts all of `input` into the window, handing it out on the way. */
export function* windowInput(window: SlidingWindow, input: Uint8Array): Generator<Uint8Array> {
  for (let done = 0; done < input.length;) {
    if (window.at === window.bytes.length) yield* wrapWindow(window);
    const length = Math.min(input.length - done, window.bytes.length - window.at);
    window.bytes.set(input.subarray(done, done + length), window.at);
    window.at += length;
    window.valid = Math.min(window.size, window.valid + length);
    done += length;
  }
  yield* flushWindow(window);
}

/** Hands out what is new. */
export function* flushWindow(window: SlidingWindow): Generator<Uint8Array> {
  if (window.at > window.handedOut) yield window.bytes.subarray(window.handedOut, window.at);
  window.handedOut = window.at;
}

/** Makes room when the end of the buffer is reached: a larger buffer, or the start of the ring. */
export function* wrapWindow(window: SlidingWindow): Generator<Uint8Array> {
  yield* flushWindow(window);
  if (window.bytes.length < window.size) {
    const larger = new Uint8Array(Math.min(window.size, window.bytes.length * 2));
    larger.set(window.bytes);
    window.bytes = larger;
    return;
  }
  window.at = 0;
  window.handedOut = 0;
}
