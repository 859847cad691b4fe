import { expect, test } from 'vitest';
import type { ByteSource } from '../bytes/byte-source.ts';
import { memorySource } from '../bytes/byte-source.ts';
import type { Extent } from './extent.ts';
import { extentsWithHoles } from './file-holes.ts';

async function* listed(extents: readonly Extent[]): AsyncGenerator<Extent> {
  yield* extents;
}

async function split(source: ByteSource, ...extents: readonly Extent[]): Promise<readonly Extent[]> {
  const result: Extent[] = [];
  for await (const extent of extentsWithHoles(source, listed(extents))) result.push(extent);
  return result;
}

/** A file of 1000 bytes with data at 100-200 and 500-600. */
const sparse: ByteSource = {
  ...memorySource(new Uint8Array(1000)),
  holes: {
    nextData: (offset) =>
      [
        { start: 100, end: 200 },
        { start: 500, end: 600 },
      ]
        .map(({ start, end }) => ({ start: Math.max(start, offset), end }))
        .find(({ start, end }) => start < end),
  },
};
const stored: Extent = { offset: 7000, length: 500, state: 'data', compressed: false, hostOffset: 150 };

test('data that lies in holes of the file is zeros', async () => {
  const extents = await split(sparse, stored);
  expect(extents).toEqual([
    { ...stored, length: 50 },
    { ...stored, state: 'zero', offset: 7050, length: 300, hostOffset: 200 },
    { ...stored, offset: 7350, length: 100, hostOffset: 500 },
    { ...stored, state: 'zero', offset: 7450, length: 50, hostOffset: 600 },
  ]);
});

test('what is not stored as it is stays as it is', async () => {
  const absent: Extent = { offset: 0, length: 10, state: 'absent', compressed: false };
  const packed: Extent = { offset: 10, length: 10, state: 'data', compressed: true };
  expect(await split(sparse, absent, packed)).toEqual([absent, packed]);
});

test('a source that knows no holes changes nothing', async () => {
  expect(await split(memorySource(new Uint8Array(1000)), stored)).toEqual([stored]);
});
