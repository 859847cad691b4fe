import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import fastify from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { sentPieces } from './sent-pieces.ts';

const PIECE = 256 * 1024;
const COUNT = 40;
const app = { close: async (): Promise<unknown> => undefined };
afterEach(() => app.close());

/** Serves pieces with their own memory; `pieces` are those that were handed out. */
async function serve(more: readonly Uint8Array[] = []): Promise<{ url: string; pieces: Uint8Array[]; bytes: Buffer }> {
  const bytes = randomBytes(PIECE * COUNT);
  const pieces: Uint8Array[] = [];
  const give = (piece: Uint8Array): Uint8Array => {
    pieces.push(piece);
    return piece;
  };
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < COUNT; at++) yield give(new Uint8Array(bytes.subarray(at * PIECE, (at + 1) * PIECE)));
    for (const piece of more) yield give(piece);
  }
  const server = fastify();
  server.get('/', (_request, reply) => reply.type('application/octet-stream').send(sentPieces(read(), reply)));
  app.close = () => server.close();
  return { url: await server.listen({ host: '127.0.0.1', port: 0 }), pieces, bytes };
}

async function readSlowly(url: string): Promise<Buffer> {
  const { body } = await fetch(url);
  const received: Uint8Array[] = [];
  for await (const piece of body ?? []) {
    received.push(piece);
    for (let turns = 0; turns < received.length % 7; turns++) await turn();
  }
  return Buffer.concat(received);
}

describe('what is sent', () => {
  test("arrives whole, and the receiver's memory is given back on the way", async () => {
    const { url, pieces, bytes } = await serve();
    expect((await readSlowly(url)).equals(bytes)).toBe(true);
    expect(pieces.filter((piece) => piece.byteLength > 0).length).toBeLessThan(COUNT / 2);
  });

  test('a part of a larger buffer is left alone', async () => {
    const shared = Buffer.alloc(300_000, 7);
    const parts = Array.from({ length: 30 }, (_, at) => shared.subarray(at * 10_000, (at + 1) * 10_000));
    const { url, bytes } = await serve(parts);
    expect((await readSlowly(url)).equals(Buffer.concat([bytes, shared]))).toBe(true);
    expect(shared.every((byte) => byte === 7) && shared.length).toBe(300_000);
  });
});
