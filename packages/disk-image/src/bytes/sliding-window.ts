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
export function* windowInput(ring: SlidingWindow, input: Uint8Array): Generator<Uint8Array> {
  for (let done = 0; done < input.length;) {
    if (ring.at === ring.bytes.length) yield* wrapWindow(ring);
    const length = Math.min(input.length - done, ring.bytes.length - ring.at);
    ring.bytes.set(input.subarray(done, done + length), ring.at);
    ring.at += length;
    ring.valid = Math.min(ring.size, ring.valid + length);
    done += length;
  }
  yield* flushWindow(ring);
}

/** Hands out what is new. */
export function* flushWindow(ring: SlidingWindow): Generator<Uint8Array> {
  if (ring.at > ring.handedOut) yield ring.bytes.subarray(ring.handedOut, ring.at);
  ring.handedOut = ring.at;
}

/** Makes room when the end of the buffer is reached: a larger buffer, or the start of the ring. */
export function* wrapWindow(ring: SlidingWindow): Generator<Uint8Array> {
  yield* flushWindow(ring);
  if (ring.bytes.length < ring.size) {
    const larger = new Uint8Array(Math.min(ring.size, ring.bytes.length * 2));
    larger.set(ring.bytes);
    ring.bytes = larger;
    return;
  }
  ring.at = 0;
  ring.handedOut = 0;
}
