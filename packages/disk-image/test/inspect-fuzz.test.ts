import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ByteSource } from '../src/bytes/byte-source.ts';
import { checkInside } from '../src/bytes/byte-source.ts';
import { portableCodecs } from '../src/bytes/portable-codecs.ts';
import { formats } from '../src/formats/all.ts';
import { inspect } from '../src/inspect/inspect.ts';
import { DEFAULT_LIMITS } from '../src/inspect/limits.ts';
import { GOLDEN_NAMES, golden, makeGoldens } from './goldens.ts';

/** Where headers, tables and footers lie: most damage goes there. */
const HEAD_BYTES = 4096;
const HOT_REGIONS = [65536, 131072, 196608, 262144, 2 ** 20, 2 ** 21, 3 * 2 ** 20];
const RUNS_PER_GOLDEN = 150;

interface Patch {
  readonly at: number;
  readonly value: number;
  readonly width: 1 | 4 | 8;
}

/** The golden with patches and a new end, without a copy of it; counts what is read. */
function damagedSource(bytes: Uint8Array, patches: readonly Patch[], size: number): ByteSource & { readCount: number } {
  return {
    size,
    readCount: 0,
    async read(offset, into) {
      checkInside(size, offset, into.length);
      this.readCount += into.length;
      into.fill(0);
      into.set(bytes.subarray(offset, offset + into.length));
      for (const { at, value, width } of patches) {
        for (let i = 0; i < width; i++) {
          const place = at + i - offset;
          if (place >= 0 && place < into.length) into[place] = value;
        }
      }
    },
    async close() {},
  };
}

function patchOf(size: number): fc.Arbitrary<Patch> {
  const hot = HOT_REGIONS.filter((region) => region < size).map((region) =>
    fc.integer({ min: region, max: Math.min(size - 1, region + 512) }),
  );
  const at = fc.oneof(
    fc.integer({ min: 0, max: Math.min(size, HEAD_BYTES) - 1 }),
    fc.integer({ min: Math.max(0, size - 1024), max: size - 1 }),
    ...hot,
  );
  const value = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }));
  return fc.record({ at, value, width: fc.constantFrom(1 as const, 4 as const, 8 as const) });
}

let goldens: ReadonlyMap<string, Uint8Array>;
beforeAll(async () => {
  goldens = await makeGoldens();
});

describe('a damaged file always gets a verdict', () => {
  test.each(GOLDEN_NAMES)('%s', async (name) => {
    const bytes = golden(goldens, name);
    const sizes = fc.oneof(fc.constant(bytes.length), fc.integer({ min: 0, max: bytes.length + 4096 }));
    await fc.assert(
      fc.asyncProperty(fc.array(patchOf(bytes.length), { maxLength: 6 }), sizes, async (patches, size) => {
        const source = damagedSource(bytes, patches, size);
        const verdict = await inspect(source, { codecs: portableCodecs, formats, declared: 'raw' });
        expect(['safe', 'warning', 'unsafe']).toContain(verdict.verdict);
        expect(JSON.parse(JSON.stringify(verdict))).toEqual(verdict);
        expect(source.readCount).toBeLessThanOrEqual(DEFAULT_LIMITS.maxReadBytes);
        if (verdict.format !== 'raw') expect(verdict.verdict).toBe('unsafe');
      }),
      { numRuns: RUNS_PER_GOLDEN },
    );
  });
});

test('any bytes at all get a verdict', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2048 }), async (bytes) => {
      const verdict = await inspect(damagedSource(bytes, [], bytes.length), { codecs: portableCodecs, formats });
      expect(verdict.fileSize).toBe(bytes.length);
    }),
  );
});
