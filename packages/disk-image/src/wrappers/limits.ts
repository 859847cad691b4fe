import type { ByteStream, InputWindow } from '../bytes/input-window.ts';
import { ImageError } from '../errors.ts';

/** How much a container may grow when it is unpacked. All have defaults; a caller who knows better sets its own. */
export interface WrapperLimits {
  /** Bytes that may come out of one container. */
  readonly maxOutputBytes: number;
  /** How many times as many bytes may come out as went in, once `ratioFreeBytes` have come out. */
  readonly maxRatio: number;
  /** Bytes that may come out whatever went in: small things may pack very well. */
  readonly ratioFreeBytes: number;
  /** Of each byte that goes in, as much counts: what is packed twice may grow no more than what is packed once. */
  readonly countedShare?: number;
}

export const DEFAULT_WRAPPER_LIMITS: WrapperLimits = {
  // The largest disk that any current image can hold.
  maxOutputBytes: 64 * 2 ** 40,
  // deflate can not exceed 1032:1.
  maxRatio: 1100,
  ratioFreeBytes: 256 * 2 ** 20,
};

/** The stream that is unpacked from `input`, up to the limits: throws `unsafe` above them. */
export async function* limitedStream(
  stream: ByteStream,
  input: Pick<InputWindow, 'position'>,
  limits: WrapperLimits,
): AsyncGenerator<Uint8Array> {
  const { maxRatio, countedShare = 1 } = limits;
  let produced = 0;
  for await (const piece of stream) {
    produced += piece.length;
    if (produced > limits.maxOutputBytes) {
      throw bomb(`more than the ${limits.maxOutputBytes} bytes that are accepted`);
    }
    if (produced > limits.ratioFreeBytes && produced > maxRatio * countedShare * Math.max(1, input.position)) {
      throw bomb(`more than ${maxRatio} times its size`);
    }
    yield piece;
  }
}

function bomb(how: string): ImageError {
  return new ImageError('unsafe', `The container unpacks to ${how}`, { structure: 'compression ratio' });
}
