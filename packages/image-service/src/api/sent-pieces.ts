import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { giveBack } from '../store/byte-stream.ts';

/** Pieces that are read before the receiver has taken those before them. */
const PIECES_AHEAD = 2;

/**
 * The body of an answer, which alone uses the memory of its pieces: it is given back as soon as they were sent. Left
 * to the garbage collector it would cost more than the sending: for every 32 MiB outside of its heap it goes through all
 * that is in it.
 */
export function sentPieces(pieces: AsyncIterable<Uint8Array>, { raw }: FastifyReply): Readable {
  const body = Readable.from(watched(), { highWaterMark: PIECES_AHEAD });
  const handedOn: Uint8Array[] = [];
  async function* watched(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      // What the body still holds has not reached the answer; and the answer has sent all that reached it, or nothing goes.
      if (raw.writableLength === 0)
        for (const sent of handedOn.splice(0, handedOn.length - body.readableLength)) giveBack(sent);
      handedOn.push(piece);
      yield piece;
    }
  }
  return body;
}

/** The body of a call. A piece is good until the next one is asked for: then its memory is given back, as `sentPieces` does. */
export async function* receivedPieces(body: Readable): AsyncGenerator<Uint8Array> {
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    yield piece;
    giveBack(piece);
  }
}
