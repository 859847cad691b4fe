import { expect, test } from 'vitest';
import { memorySource } from '../bytes/byte-source.ts';
import type { DiskImage } from '../image/disk-image.ts';
import { imageInfo } from '../image/examination.ts';
import type { ExtentState } from '../image/extent.ts';
import { boundedSource } from './bounded-source.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { dataRatioFindings } from './size-bomb.ts';

const FILE_SIZE = 2 ** 20;

function diskOf(state: ExtentState, virtualSize: number): DiskImage {
  return {
    info: imageInfo('raw', virtualSize, {}),
    virtualSize,
    async *extents({ offset, length }) {
      yield { offset, length, state, compressed: true };
    },
    read: () => Promise.reject(new Error('a map is made without reading data')),
    async close() {},
  };
}

test.each([
  { name: 'a small disk', state: 'data', virtualSize: 2 ** 30, found: [] },
  { name: 'a large empty disk', state: 'absent', virtualSize: 2 ** 40, found: [] },
  { name: 'stored bytes 100 000 times the file', state: 'data', virtualSize: 100_000 * FILE_SIZE, found: ['unsafe'] },
] as const)('the data ratio of $name', async ({ state, virtualSize, found }) => {
  const source = boundedSource(memorySource(new Uint8Array(FILE_SIZE)), 2 ** 20);
  const findings = await dataRatioFindings(diskOf(state, virtualSize), source, DEFAULT_LIMITS);
  expect(findings.map(({ severity }) => severity)).toEqual(found);
});

test('between the two limits it is a warning', async () => {
  const source = boundedSource(memorySource(new Uint8Array(FILE_SIZE)), 2 ** 20);
  const limits = { ...DEFAULT_LIMITS, minBombSize: 2 ** 20 };
  const findings = await dataRatioFindings(diskOf('data', 500 * FILE_SIZE), source, limits);
  expect(findings).toMatchObject([{ code: 'size-bomb-ratio', severity: 'warning' }]);
});
