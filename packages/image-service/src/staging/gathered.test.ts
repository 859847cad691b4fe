import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gatheredBytes } from './gathered.ts';

async function* inPieces(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const length of lengths) yield bytes.subarray(at, (at += length));
  yield bytes.subarray(at);
}

test('all bytes pass in order, in few pieces, however they come', async () => {
  const bytes = Buffer.alloc(3 * 2 ** 20 + 5, 0).map((_, index) => (index * 7) & 0xff);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(2 ** 21), { maxLength: 30 }), async (lengths) => {
      const gathered: Buffer[] = [];
      for await (const piece of gatheredBytes(inPieces(bytes, lengths))) gathered.push(Buffer.from(piece));
      expect(Buffer.concat(gathered).equals(bytes)).toBe(true);
      expect(gathered).toHaveLength(7);
    }),
    { numRuns: 20 },
  );
});

test('no bytes are no piece', async () => {
  for await (const piece of gatheredBytes(inPieces(new Uint8Array(), [0]))) expect(piece).toBeUndefined();
  expect.assertions(0);
});
