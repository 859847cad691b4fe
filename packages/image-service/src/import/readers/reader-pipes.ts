import { Duplex } from 'node:stream';
import { ImageError } from '@diskmorph/disk-image';
import { giveBack } from '../../store/byte-stream.ts';
import type { SourceAtHand } from '../image-tools.ts';
import { packError } from './packed-error.ts';
import type { FromReader, ToReader } from './reader-messages.ts';
import { MAX_HANDED_BYTES } from './reader-messages.ts';

/** Gives what a reader writes into the pipe, one piece after the other; undefined at its end, or without a pipe. */
export function piecesFrom(pipe: unknown): () => Promise<Uint8Array | undefined> {
  if (!(pipe instanceof Duplex)) return async () => undefined;
  const moved = notice(pipe, ['readable', 'end', 'close']);
  return async () => {
    for (;;) {
      const piece = pipe.read() as Uint8Array | null;
      if (piece !== null) return piece;
      if (pipe.readableEnded || pipe.destroyed) return undefined;
      await moved();
    }
  };
}

type StreamedRange = Extract<FromReader, { readonly streamed: unknown }>;

/**
 * Writes what a reader asks for of its source into the pipe, one range after the other, and gives what to tell it when that
 * fails. The memory of what the source gives is given back.
 */
export function rangesInto(
  pipe: unknown,
  source: SourceAtHand | undefined,
): (wanted: StreamedRange) => Promise<ToReader | undefined> {
  const drained = pipe instanceof Duplex ? notice(pipe, ['drain', 'close']) : undefined;
  const stream = async ({ offset, length }: StreamedRange['streamed']): Promise<void> => {
    if (!(pipe instanceof Duplex) || source === undefined || 'fd' in source || length > MAX_HANDED_BYTES) {
      throw new ImageError('io', 'These bytes are not handed over');
    }
    let left = length;
    for await (const piece of source.read({ offset, length })) {
      left -= piece.length;
      if (pipe.destroyed) return;
      if (!pipe.write(piece, () => giveBack(piece))) await drained?.();
    }
    if (left !== 0) throw new ImageError('truncated', 'The stored data ends early', { offset });
  };
  let last = Promise.resolve();
  return ({ wanted, streamed }) => {
    // Once one fails, nobody can tell what the next bytes in the pipe are: then all fail.
    last = last.then(() => stream(streamed));
    return last.then(
      () => undefined,
      (error: unknown) => ({ handed: wanted, error: packError(error) }),
    );
  };
}

/** Waits until one of these things happens to the pipe. Its errors are heard of in another way. */
function notice(pipe: Duplex, events: readonly string[]): () => Promise<void> {
  let next = Promise.withResolvers<void>();
  for (const event of events) pipe.on(event, () => next.resolve());
  pipe.on('error', () => {});
  return () => {
    next = Promise.withResolvers<void>();
    return next.promise;
  };
}
