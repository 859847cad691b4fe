/** VDIs cut, flipped and edited; what is refused by name; identifiers. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { raw } from '../src/formats/raw/raw.ts';
import { vdi } from '../src/formats/vdi/vdi.ts';
import type { DiskImage, GivenOptions } from '../src/index.ts';
import { convertInMemory, denyReferences, memorySource, portableCodecs as codecs } from '../src/index.ts';
import { readGuest } from './disk-files.ts';
import { golden, makeGoldens, patched } from './goldens.ts';
import type { Anatomy } from './image-damage.ts';
import { damage, damaged, INTERESTING, strangeErrors } from './image-damage.ts';
import { noise } from './vmdk-driver.ts';

const ANATOMY: Anatomy = {
  fields: [
    ...([64, 68, 72, 76, 80, 340, 344, 360, 376, 380, 384, 388, 424] as const).map((at) => [at, 4] as const),
    [368, 8],
  ],
  tables: [{ at: 512, entries: 20 }],
  littleEndian: true,
};

async function imageOf(guest: Uint8Array, options: GivenOptions): Promise<Uint8Array> {
  const source = await raw.open?.(memorySource(guest), { codecs, references: denyReferences });
  if (source === undefined) throw new Error('raw can be opened');
  const { files } = await convertInMemory({ source, target: vdi, options, fileName: 'disk.vdi', codecs });
  return files.get('disk.vdi') ?? new Uint8Array();
}

async function openBytes(bytes: Uint8Array): Promise<DiskImage> {
  const image = await vdi.open?.(memorySource(bytes), { codecs, references: denyReferences });
  if (image === undefined) throw new Error('vdi can be opened');
  return image;
}

let small: Uint8Array;
let seeds: readonly Uint8Array[];
beforeAll(async () => {
  const guest = noise(80_000, 1);
  guest.fill(0, 20_000, 50_000);
  small = await imageOf(guest, { block_size: '4k' });
  const goldens = await makeGoldens('vdi-dynamic');
  seeds = [small, golden(goldens, 'vdi-dynamic'), await imageOf(guest, { static: 'on', block_size: '4k' })];
});

describe('damaged images give ImageErrors and nothing else', () => {
  test('flips, cuts, fields and entries', async () => {
    const scenario = fc.record({ seed: fc.nat(2), all: fc.array(damage, { minLength: 1, maxLength: 4 }) });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ seed, all }) => {
        expect(await strangeErrors(vdi, damaged(seeds[seed] ?? new Uint8Array(), ANATOMY, all))).toEqual([]);
      }),
      { numRuns: 1200 },
    );
  }, 120_000);

  test('every field with every interesting value', async () => {
    for (const seed of seeds) {
      for (let field = 0; field < ANATOMY.fields.length; field++) {
        for (const value of INTERESTING) {
          expect(await strangeErrors(vdi, damaged(seed, ANATOMY, [{ kind: 'field', field, value }]))).toEqual([]);
        }
      }
    }
  }, 120_000);
});

test.each([
  { name: 'a differencing image', at: 76, patch: [4], code: 'unsupported', message: 'a differencing image' },
  { name: 'an undo image', at: 76, patch: [3], code: 'unsupported', message: 'an undo image' },
  { name: 'a parent in a dynamic image', at: 424, patch: [0xab], code: 'unsupported', message: '000000ab-0000' },
  { name: 'an image type of the future', at: 76, patch: [9], code: 'unsupported', message: 'Image type 9' },
  { name: 'a block beyond the file', at: 512, patch: [200], code: 'truncated', message: 'ends at byte' },
  { name: 'a map beyond the file', at: 340, patch: [0, 0, 0, 1], code: 'truncated', message: 'block map' },
  { name: 'a map of gigabytes', at: 384, patch: [0, 0, 0, 0x40], code: 'unsafe', message: 'block map' },
  { name: 'blocks of no size', at: 376, patch: [0, 0], code: 'corrupt', message: 'block size' },
  {
    name: 'blocks that share their bytes',
    at: 512,
    patch: Array.from({ length: 40 }, () => 0),
    code: 'corrupt',
    message: 'share',
  },
])('$name is refused: $code', async ({ at, patch, code, message }) => {
  await expect(openBytes(patched(small, at, patch))).rejects.toMatchObject({
    code,
    message: expect.stringContaining(message),
  });
});

test('a block said to be zeros and one never written are zeros', async () => {
  const image = await openBytes(patched(patched(small, 512, [0xfe, 0xff, 0xff, 0xff]), 516, [0xff, 0xff, 0xff, 0xff]));
  const states: string[] = [];
  for await (const extent of image.extents({ offset: 0, length: 8192 })) states.push(extent.state);
  expect(states).toEqual(['zero']);
  expect((await readGuest(image)).subarray(0, 8192).every((byte) => byte === 0)).toBe(true);
});

test('bytes that the format keeps before each block are no guest bytes', async () => {
  const [header, blocks] = [small.slice(0, 4096), small.slice(4096)];
  const spread = new Uint8Array(4096 + (blocks.length / 4096) * 4608).fill(0x99);
  spread.set(patched(header, 380, [0, 2]));
  for (let i = 0; i * 4096 < blocks.length; i++)
    spread.set(blocks.subarray(i * 4096, (i + 1) * 4096), 4096 + i * 4608 + 512);
  const expected = await readGuest(await openBytes(small));
  expect(Buffer.compare(await readGuest(await openBytes(spread), 5000), expected)).toBe(0);
});

test('an image without a snapshot has none to open', async () => {
  await expect(
    vdi.open?.(memorySource(small), { codecs, references: denyReferences, snapshot: '1' }),
  ).rejects.toMatchObject({
    code: 'unsupported',
  });
});

/** Creation and modification UUID of the image of `guest`. */
async function identifiers(guest: Uint8Array): Promise<readonly string[]> {
  const image = await imageOf(guest, {});
  return [Buffer.from(image.subarray(392, 408)).toString('hex'), Buffer.from(image.subarray(408, 424)).toString('hex')];
}

test('images of different content have different identifiers, of the same content the same', async () => {
  const [one, same, other] = [
    await identifiers(noise(5000, 1)),
    await identifiers(noise(5000, 1)),
    await identifiers(noise(5000, 2)),
  ];
  expect(one).toEqual(same);
  expect(new Set([...one, ...other]).size).toBe(4);
});

test.each([
  { options: { block_size: '3000' }, message: 'power of two' },
  { options: { block_size: '512M' }, message: 'power of two' },
  { options: { static: 'perhaps' }, message: 'neither on nor off' },
  { options: { subformat: 'static' }, message: 'no option "subformat"' },
  { options: { block_size: '4k' }, virtualSize: 2 ** 35, message: 'too large for block_size=4096' },
])('$options is refused', ({ options, virtualSize = 512, message }) => {
  const request = { virtualSize, options, fileName: 'x.vdi', seed: new Uint8Array(16) };
  expect(() => vdi.writer?.layout(request as Parameters<NonNullable<typeof vdi.writer>['layout']>[0])).toThrow(message);
});

test('space is measured in blocks', async () => {
  const layout = vdi.writer?.layout({
    virtualSize: 10 * 2 ** 20,
    options: {},
    fileName: 'x',
    seed: new Uint8Array(16),
  });
  if (layout === undefined) throw new Error('vdi can be written');
  expect(vdi.writer?.measure(layout, 3)).toEqual({ required: 4096 + 3 * 2 ** 20, fullyAllocated: 4096 + 10 * 2 ** 20 });
});
