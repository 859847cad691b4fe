import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DiskImage, Format, GivenOptions, ReadableSink } from '../index.ts';
import {
  convertInMemory,
  denyReferences,
  findFormat,
  formats,
  memoryRunSpool,
  memorySource,
  planUnwrittenTarget,
  portableCodecs as codecs,
  readBytes,
  sparseMemory,
  unwrittenTarget,
} from '../index.ts';

/** Options that make a format lay out its one file in another way; the default layout is always tried. */
const VARIANTS: Readonly<Record<string, readonly GivenOptions[]>> = {
  qcow2: [
    { compat: '0.10' },
    { cluster_size: '512' },
    { cluster_size: '2M' },
    { compression: 'zlib' },
    { compression: 'zlib', refcount_bits: '1', cluster_size: '4k' },
    { extended_l2: 'on' },
    { preallocation: 'metadata' },
    { preallocation: 'full' },
    { refcount_bits: '64' },
  ],
  vmdk: [{ subformat: 'streamOptimized' }],
  vhdx: [{ subformat: 'fixed', block_size: '1M' }, { block_size: '1M' }, { block_state_zero: 'off', log_size: '2M' }],
  vhd: [{ subformat: 'fixed' }, { force_size: 'on' }, { block_size: '64k' }, { azure: 'on' }],
  vdi: [{ static: 'on' }, { block_size: '4k' }, { block_size: '8M' }],
};
const FILE_NAME = 'disk.img';

const titled = formats
  .filter((format) => format.writer !== undefined)
  .flatMap((format) => [{}, ...(VARIANTS[format.name] ?? [])].map((options) => ({ format, options })))
  .map(({ format, options }) => [format.name, JSON.stringify(options), format, options] as const);

async function rawDisk(guest: Uint8Array): Promise<DiskImage> {
  const raw = findFormat('raw');
  if (raw?.open === undefined) throw new Error('raw can be read');
  return raw.open(memorySource(guest), { codecs, references: denyReferences });
}

interface Target {
  readonly format: Format;
  readonly options: GivenOptions;
}

async function written(guest: Uint8Array, { format: target, options }: Target): Promise<Uint8Array> {
  const source = await rawDisk(guest);
  const { files } = await convertInMemory({ source, target, options, fileName: FILE_NAME, codecs });
  return files.get(FILE_NAME) ?? new Uint8Array();
}

async function unwritten(
  guest: Uint8Array,
  { format: target, options }: Target,
  tables: ReadableSink = sparseMemory(),
): ReturnType<typeof planned> {
  return planned(await rawDisk(guest), { target, options, tables });
}

async function planned(
  source: DiskImage,
  how: { readonly target: Format; readonly options: GivenOptions; readonly tables: ReadableSink },
) {
  const pieces = { source, codecs, runs: memoryRunSpool(), target: how.target, tables: how.tables };
  const plan = await planUnwrittenTarget({ ...pieces, options: how.options, fileName: FILE_NAME });
  return { plan, bytes: unwrittenTarget(plan, pieces) };
}

/** 1.3 MiB of guest disk: data, zeros between, an odd end. */
function sampleGuest(): Uint8Array {
  const guest = new Uint8Array(1_363_456);
  for (let i = 0; i < guest.length; i++) guest[i] = (i * 31 + (i >> 9)) & 0xff;
  guest.fill(0, 70_000, 400_000);
  guest.fill(0, 900_000, 1_200_000);
  return guest;
}

describe.each(titled)('%s %s', (_name, _options, format, options) => {
  test('is, read in any step, what a conversion writes', async () => {
    const guest = sampleGuest();
    const expected = await written(guest, { format, options });
    const { bytes } = await unwritten(guest, { format, options });
    expect(bytes.size).toBe(expected.length);
    for (const step of [1_000_000, 65_536, 12_345]) {
      for (let at = 0; at < expected.length; at += step) {
        const into = new Uint8Array(Math.min(step, expected.length - at));
        await bytes.read(at, into);
        expect(Buffer.compare(into, expected.subarray(at, at + into.length)), `bytes at ${at}`).toBe(0);
      }
    }
  });

  test('is the image that its own reader opens', async () => {
    const guest = sampleGuest();
    const { bytes } = await unwritten(guest, { format, options });
    const image = await format.open?.(bytes, { codecs, references: denyReferences });
    const read = new Uint8Array(guest.length);
    await image?.read(0, read);
    expect(Buffer.compare(read, guest)).toBe(0);
  });

  test('has the same bytes wherever data and zeros lie and whatever is asked for', async () => {
    const block = fc.record({ units: fc.integer({ min: 1, max: 40 }), byte: fc.constantFrom(0, 0, 7, 255) });
    const disk = fc.array(block, { minLength: 1, maxLength: 12 });
    const ranges = fc.array(fc.record({ start: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat(200_000) }), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(disk, ranges, async (blocks, wanted) => {
        const guest = Buffer.concat(blocks.map(({ units, byte }) => Buffer.alloc(units * 4096 + 512, byte)));
        const expected = await written(guest, { format, options });
        const { bytes } = await unwritten(guest, { format, options });
        expect(bytes.size).toBe(expected.length);
        for (const { start, length } of wanted) {
          const at = Math.floor(start * (expected.length - 1));
          const into = new Uint8Array(Math.min(length, expected.length - at)).fill(99);
          await bytes.read(at, into);
          expect(Buffer.compare(into, expected.subarray(at, at + into.length)), `bytes at ${at}`).toBe(0);
        }
      }),
      { numRuns: 8 },
    );
  });
});

test('a raw disk needs no reading before it is read', async () => {
  const format = findFormat('raw');
  if (format === undefined) throw new Error('raw is known');
  const guest = sampleGuest();
  const disk = await rawDisk(guest);
  let reads = 0;
  const source: DiskImage = {
    ...disk,
    read: (...range) => {
      reads++;
      return disk.read(...range);
    },
  };
  const { plan, bytes } = await planned(source, { target: format, options: {}, tables: sparseMemory() });
  expect([reads, plan.contentId, bytes.size]).toEqual([0, undefined, guest.length]);
});

test.each(['monolithicFlat', 'twoGbMaxExtentSparse'])('a target of several files is refused: %s', async (subformat) => {
  const format = findFormat('vmdk');
  if (format === undefined) throw new Error('vmdk is known');
  await expect(unwritten(sampleGuest(), { format, options: { subformat } })).rejects.toMatchObject({
    code: 'unsupported',
  });
});

test('bytes behind the end are truncated, as those of a file', async () => {
  const format = findFormat('qcow2');
  if (format === undefined) throw new Error('qcow2 is known');
  const { bytes } = await unwritten(sampleGuest(), { format, options: {} });
  await expect(readBytes(bytes, bytes.size - 1, 2)).rejects.toMatchObject({ code: 'truncated' });
});

test('a source that changed is found out where its units are encoded again', async () => {
  const format = findFormat('qcow2');
  if (format === undefined) throw new Error('qcow2 is known');
  const guest = sampleGuest();
  const { bytes } = await unwritten(guest, { format, options: { compression: 'zlib' } });
  guest.fill(1, 0, 65_536);
  await expect(readBytes(bytes, 65_536, 100)).rejects.toMatchObject({ code: 'corrupt' });
});

test('the tables of a large disk with little in it take little memory', async () => {
  const virtualSize = 2 ** 41;
  const guest = Buffer.alloc(262_144);
  guest.fill(5, 0, 4096);
  const raw = await rawDisk(guest);
  const source: DiskImage = {
    ...raw,
    info: { ...raw.info, virtualSize },
    virtualSize,
    async *extents({ offset, length }) {
      const common = { compressed: false, hostOffset: 0 } as const;
      const data = Math.max(0, Math.min(length, 4096 - offset));
      if (data > 0) yield { ...common, offset, length: data, state: 'data' };
      if (length > data) yield { ...common, offset: offset + data, length: length - data, state: 'zero' };
    },
  };
  const target = findFormat('vhdx');
  if (target === undefined) throw new Error('vhdx is known');
  const { bytes } = await planned(source, {
    target,
    options: { block_state_zero: 'off' },
    tables: sparseMemory(2 ** 20),
  });
  const image = await target.open?.(bytes, { codecs, references: denyReferences });
  const read = new Uint8Array(guest.length);
  await image?.read(0, read);
  expect(Buffer.compare(read, guest)).toBe(0);
});
