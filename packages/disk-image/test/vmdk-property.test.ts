import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memorySource } from '../src/bytes/byte-source.ts';
import { ImageError } from '../src/errors.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import { noise, SUBFORMATS } from './vmdk-driver.ts';
import type { DiskImage } from '../src/image/disk-image.ts';
import type { Extent } from '../src/image/extent.ts';
import type { Files } from './vmdk-memory.ts';
import { descriptorFile, granting, openMemory, own, OWN_NAME, readAll, vmdkOf } from './vmdk-memory.ts';

const GRAIN = 65_536;

/** A disk of up to 2 MiB with random pieces, some of them zeros. */
const randomGuest = fc
  .record({
    sectors: fc.integer({ min: 1, max: 4096 }),
    pieces: fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 0.999, noNaN: true }),
        length: fc.integer({ min: 1, max: 3 * GRAIN }),
        seed: fc.nat(999),
      }),
      { maxLength: 6 },
    ),
  })
  .map(({ sectors, pieces }) => {
    const guest = new Uint8Array(sectors * 512);
    for (const { at, length, seed } of pieces) {
      const start = Math.floor(at * guest.length);
      guest.set(noise(Math.min(length, guest.length - start), seed), start);
    }
    return guest;
  });

/** Extents that are said to be empty and are not, or to lie in a file where they do not. */
async function wrongExtents(image: DiskImage, guest: Uint8Array, files: Files): Promise<Extent[]> {
  const wrong: Extent[] = [];
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
    const { offset, length, state, hostOffset, hostFile } = extent;
    const file = files.get(hostFile ?? OWN_NAME) ?? new Uint8Array();
    const bytes = guest.subarray(offset, offset + length);
    const stored =
      state === 'data' && hostOffset !== undefined ? file.subarray(hostOffset, hostOffset + length) : bytes;
    const right = state === 'data' ? Buffer.compare(stored, bytes) === 0 : bytes.every((byte) => byte === 0);
    if (!right) wrong.push(extent);
  }
  return wrong;
}

describe('any content comes back, however it is read', () => {
  test.each(SUBFORMATS)('%s', async (subformat) => {
    await fc.assert(
      fc.asyncProperty(
        randomGuest,
        fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 400_000 })), {
          maxLength: 8,
        }),
        async (guest, reads) => {
          const files = await vmdkOf(guest, { subformat });
          const image = await openMemory(own(files), granting(files));
          const whole = await readAll(image, 100_003);
          expect(Buffer.compare(whole.subarray(0, guest.length), guest)).toBe(0);
          for (const [at, length] of reads) {
            const offset = Math.floor(at * image.virtualSize);
            const into = new Uint8Array(Math.min(length, image.virtualSize - offset)).fill(0xee);
            await image.read(offset, into);
            expect(Buffer.compare(into, whole.subarray(offset, offset + into.length))).toBe(0);
          }
          expect(await wrongExtents(image, whole, files)).toEqual([]);
        },
      ),
      { numRuns: 15 },
    );
  });
});

/** The most bytes that a reader may ask for at once when the image has less than a MiB. */
const MAX_SINGLE_READ = 2 ** 22;

/** Does everything that can be done with the files. Any error but ImageError fails the test, and so does a huge read. */
async function exercise(files: Files): Promise<boolean> {
  const bytes = own(files);
  const plain = memorySource(bytes);
  const source = {
    ...plain,
    async read(offset: number, into: Uint8Array) {
      if (into.length > MAX_SINGLE_READ) throw new Error(`a read of ${into.length} bytes`);
      await plain.read(offset, into);
    },
  };
  vmdk.probe({ size: bytes.length, head: bytes.subarray(0, 4096), tail: bytes.subarray(-4096) });
  await allowingImageErrors(async () => vmdk.examine(source));
  await allowingImageErrors(async () => vmdk.check?.(source));
  await allowingImageErrors(async () => {
    const asked: string[] = [];
    const image = await openMemory(bytes, granting(files, asked));
    expect(asked.filter((name) => /[/\\:]/.test(name))).toEqual([]);
    let extents = 0;
    for await (const _extent of image.extents({ offset: 0, length: Math.min(image.virtualSize, 2 ** 30) })) {
      if (++extents > 100_000) break;
    }
    for (let offset = 0; offset < image.virtualSize && offset < 2 ** 22; offset += GRAIN) {
      await image.read(offset, new Uint8Array(Math.min(GRAIN, image.virtualSize - offset)));
    }
    await image.read(image.virtualSize - 1, new Uint8Array(1));
  });
  return true;
}

async function allowingImageErrors(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
  }
}

const guest = new Uint8Array(12 * GRAIN);
guest.set(noise(2 * GRAIN, 1), 0);
guest.set(noise(3000, 2), 7 * GRAIN + 5);
const goldens = new Map<string, Files>();
for (const subformat of SUBFORMATS) goldens.set(subformat, await vmdkOf(guest, { subformat }));

/** Where the structures of a golden lie, so that damage hits them and not only grains. */
const HOT_RANGES = [
  [0, 80],
  [512, 1100],
  [10_752, 22_000],
] as const;

const damage = fc.oneof(
  fc.record({
    kind: fc.constant('flip' as const),
    at: fc.double({ min: 0, max: 0.9999, noNaN: true }),
    bit: fc.nat(7),
  }),
  fc.record({
    kind: fc.constant('hot' as const),
    range: fc.nat(2),
    at: fc.double({ min: 0, max: 0.9999, noNaN: true }),
    byte: fc.nat(255),
  }),
  fc.record({ kind: fc.constant('tail' as const), back: fc.integer({ min: 1, max: 8192 }), byte: fc.nat(255) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({
    kind: fc.constant('field' as const),
    at: fc.constantFrom(4, 8, 12, 20, 28, 36, 44, 48, 56, 64),
    value: fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: 0n, max: 300n }),
      fc.constantFrom(2n ** 31n, 2n ** 32n, 2n ** 53n),
    ),
  }),
);

function damaged(
  files: Files,
  name: string,
  damages: readonly (typeof damage extends fc.Arbitrary<infer T> ? T : never)[],
): Files {
  let bytes = (files.get(name) ?? new Uint8Array()).slice();
  const put = (at: number, value: number): void => {
    if (at >= 0 && at < bytes.length) bytes[at] = value;
  };
  for (const item of damages) {
    if (item.kind === 'cut') bytes = bytes.subarray(0, Math.floor(item.at * bytes.length));
    else if (item.kind === 'flip') {
      const at = Math.floor(item.at * bytes.length);
      put(at, (bytes[at] ?? 0) ^ (1 << item.bit));
    } else if (item.kind === 'hot') {
      const [start, end] = HOT_RANGES[item.range] ?? [0, 80];
      put(start + Math.floor(item.at * (end - start)), item.byte);
    } else if (item.kind === 'tail') put(bytes.length - item.back, item.byte);
    else if (bytes.length >= 72) new DataView(bytes.buffer).setBigUint64(item.at, item.value, true);
  }
  return new Map([...files, [name, bytes]]);
}

describe('a damaged image gives an ImageError or bytes, never anything else', () => {
  const places = SUBFORMATS.flatMap((subformat) =>
    [...(goldens.get(subformat)?.keys() ?? [])].map((name) => ({ subformat, name })),
  );
  test.each(places)('$subformat, $name', async ({ subformat, name }) => {
    const files = goldens.get(subformat) ?? new Map<string, Uint8Array>();
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        expect(await exercise(damaged(files, name, damages))).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  const word = fc.oneof(
    fc.constantFrom(
      'RW',
      'RDONLY',
      'NOACCESS',
      'FLAT',
      'SPARSE',
      'ZERO',
      '"disk-flat.vmdk"',
      '"../x"',
      '=',
      '#',
      '0',
      '8',
      '1536',
      '\r',
      '"',
    ),
    fc.string({ maxLength: 12 }),
    fc.nat().map(String),
  );
  test('descriptors of random words', async () => {
    const flat = goldens.get('monolithicFlat') ?? new Map<string, Uint8Array>();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(word, { maxLength: 6 }), { maxLength: 8 }), async (lines) => {
        const text = descriptorFile(lines.map((words) => words.join(' ')));
        expect(await exercise(new Map([...flat, [OWN_NAME, text]]))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
