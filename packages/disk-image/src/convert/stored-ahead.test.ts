import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FileRange } from '../bytes/byte-source.ts';
import { memorySource } from '../bytes/byte-source.ts';
import type { Extent } from '../image/extent.ts';
import type { StoringImage } from './stored-ahead.ts';
import { isInMemory, storedAhead } from './stored-ahead.ts';

const MiB = 2 ** 20;
const CHUNK = 2 * MiB;
const READ_AHEAD = 16 * MiB;

interface Part {
  readonly length: number;
  readonly state: 'data' | 'zero';
  readonly isCompressed: boolean;
  /** Bytes in the file between the part before and this one. */
  readonly gap: number;
}

/** An image that has the parts one behind the other; what its file is asked to read ahead is added to `asked`. */
function imageOf(parts: readonly Part[], asked: FileRange[]): StoringImage {
  const extents: Extent[] = [];
  let [offset, hostOffset] = [0, 0];
  for (const { length, state, isCompressed, gap } of parts) {
    hostOffset += gap;
    const place = state === 'data' ? { hostOffset, ...(isCompressed ? { compressed: true } : {}) } : {};
    extents.push({ offset, length, state, ...place } as Extent);
    offset += length;
    if (state === 'data') hostOffset += length;
  }
  return {
    virtualSize: offset,
    file: { ...memorySource(new Uint8Array()), readAhead: (ranges) => void asked.push(...ranges) },
    async *extents(range) {
      for (const extent of extents) {
        const start = Math.max(range.offset, extent.offset);
        const end = Math.min(range.offset + range.length, extent.offset + extent.length);
        if (start >= end) continue;
        const skipped = start - extent.offset;
        const at = extent.hostOffset === undefined ? {} : { hostOffset: extent.hostOffset + skipped };
        yield { ...extent, offset: start, length: end - start, ...at };
      }
    },
  };
}

const part: fc.Arbitrary<Part> = fc.record({
  length: fc.oneof(
    fc.constant(64 * 1024),
    fc.integer({ min: 1, max: 128 }).map((count) => count * 512 * 1024),
  ),
  state: fc.constantFrom('data', 'data', 'zero'),
  isCompressed: fc.boolean(),
  gap: fc.constantFrom(0, 0, 4096),
});

const parts = fc.array(part, { minLength: 1, maxLength: 40 });

test('what is stored as it is is read ahead once, in order, and 16 MiB of it at a time', async () => {
  await fc.assert(
    fc.asyncProperty(parts, fc.constantFrom(CHUNK, CHUNK / 8), fc.func(fc.boolean()), async (parts, chunk, skips) => {
      const asked: FileRange[] = [];
      const image = imageOf(parts, asked);
      const ahead = storedAhead(image);
      const askedBytes = (): number => asked.reduce((sum, { length }) => sum + length, 0);
      let wanted = 0;
      for (let offset = 0; offset < image.virtualSize; offset += chunk) {
        // Other lanes take chunks too.
        if (skips(offset)) continue;
        await ahead.readAhead(offset);
        for (const { start, end, hostOffset } of await ahead.within(offset, offset + chunk)) {
          if (hostOffset === undefined) continue;
          const isAsked = asked.some((range) => range.offset <= hostOffset && hostOffset < range.offset + range.length);
          expect(isAsked).toBe(true);
          wanted += end - start;
        }
        expect(askedBytes()).toBeGreaterThanOrEqual(wanted);
      }
      for (const [index, { offset, length }] of asked.entries()) {
        expect(length).toBeLessThanOrEqual(READ_AHEAD);
        expect(offset).toBeGreaterThanOrEqual((asked[index - 1]?.offset ?? 0) + (asked[index - 1]?.length ?? 0));
      }
    }),
  );
});

test('behind the end of the disk nothing is looked for', async () => {
  const asked: FileRange[] = [];
  const ahead = storedAhead(imageOf([{ length: MiB, state: 'data', isCompressed: false, gap: 0 }], asked));
  await ahead.readAhead(MiB);
  expect(asked).toEqual([]);
});

test('no more than 16 MiB are on their way', async () => {
  const asked: FileRange[] = [];
  const data = { length: 100 * MiB, state: 'data', isCompressed: false, gap: 0 } as const;
  const ahead = storedAhead(imageOf([data], asked));
  await ahead.readAhead(0);
  await ahead.readAhead(0);
  expect(asked).toEqual([{ offset: 0, length: 16 * MiB }]);
  await ahead.readAhead(CHUNK);
  await ahead.readAhead(90 * MiB);
  expect(asked.slice(1)).toEqual([
    { offset: 16 * MiB, length: CHUNK },
    { offset: 90 * MiB, length: 10 * MiB },
  ]);
});

/** An image whose file says what of it is in memory. */
function imageWith(parts: readonly Part[], isThere: ((hostOffset: number) => boolean) | undefined): StoringImage {
  const image = imageOf(parts, []);
  if (image.file === undefined || isThere === undefined) return image;
  return { ...image, file: { ...image.file, isInMemory: isThere } };
}

describe('an image is in memory', () => {
  const data = { length: 40 * MiB, state: 'data', isCompressed: false, gap: 4096 } as const;
  const zeros = { length: 200 * MiB, state: 'zero', isCompressed: false, gap: 0 } as const;

  test.each([
    ['all is there', [data, zeros, data], () => true, true],
    ['nothing is', [zeros, data], () => false, false],
    ['the end is not', [data, zeros, data], (offset: number) => offset < 70 * MiB, false],
    ['nothing is stored as it is', [zeros, { ...data, isCompressed: true }], () => false, true],
    ['nothing is stored', [zeros], () => false, true],
    ['the disk is empty', [], () => false, true],
    ['the file cannot tell', [data], undefined, false],
  ])('%s', async (_what, parts, isThere, answer) => {
    expect(await isInMemory(imageWith(parts, isThere))).toBe(answer);
  });
});
