/**
 * What every format must keep to, whatever its specification says: run over each writable format in the list and over
 * the options that change its layout. A new format is under test as soon as it is in the list.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type {
  ByteSink,
  DiskImage,
  Extent,
  Format,
  GivenOptions,
  MemorySink,
  ReferencePolicy,
  TargetFile,
} from '../src/index.ts';
import {
  convertImage,
  convertInMemory,
  denyReferences,
  formats,
  ImageError,
  memorySink,
  memorySource,
  portableCodecs as codecs,
} from '../src/index.ts';

/** Options that make a format lay out its bytes in another way; the default layout is always tried. */
const VARIANTS: Readonly<Record<string, readonly GivenOptions[]>> = {
  qcow2: [
    { compat: '0.10' },
    { cluster_size: '512' },
    { cluster_size: '2M' },
    { compression: 'zlib' },
    { compression: 'zlib', refcount_bits: '1', cluster_size: '4k' },
    { extended_l2: 'on' },
    { preallocation: 'metadata' },
    { lazy_refcounts: 'on', refcount_bits: '64' },
  ],
  vmdk: [
    { subformat: 'streamOptimized' },
    { subformat: 'monolithicFlat' },
    { subformat: 'twoGbMaxExtentSparse' },
    { subformat: 'twoGbMaxExtentFlat' },
  ],
  vhdx: [
    { subformat: 'fixed', block_size: '1M' },
    { block_size: '1M' },
    { logical_sector_size: '4096' },
    { block_state_zero: 'off', log_size: '2M', block_size: '2M' },
  ],
  vhd: [
    { subformat: 'fixed' },
    { force_size: 'on' },
    { block_size: '64k' },
    { block_size: '512k', force_size: 'on' },
    { azure: 'on' },
  ],
  vdi: [{ static: 'on' }, { block_size: '4k' }, { block_size: '8M' }, { static: 'on', block_size: '64k' }],
};

const FILE_NAME = 'conformance.img';
const cases = formats
  .filter((format) => format.writer !== undefined)
  .flatMap((format) => [{}, ...(VARIANTS[format.name] ?? [])].map((options) => ({ format, options })));
const titled = cases.map(({ format, options }) => [format.name, JSON.stringify(options), format, options] as const);

type Files = ReadonlyMap<string, Uint8Array>;

function granting(files: Files): ReferencePolicy {
  return async (reference) => {
    const bytes = files.get(reference.name);
    if (bytes === undefined) return denyReferences(reference);
    return { source: memorySource(bytes), references: denyReferences, identity: reference.name };
  };
}

async function openFiles(format: Format, files: Files): Promise<DiskImage> {
  if (format.open === undefined) throw new Error(`${format.name} is written but cannot be read`);
  return format.open(memorySource(files.get(FILE_NAME) ?? new Uint8Array()), { codecs, references: granting(files) });
}

async function rawDisk(guest: Uint8Array): Promise<DiskImage> {
  const raw = formats.find((format) => format.name === 'raw');
  if (raw?.open === undefined) throw new Error('raw can be read');
  return raw.open(memorySource(guest), { codecs, references: denyReferences });
}

async function imageOf(format: Format, guest: Uint8Array, options: GivenOptions): Promise<Files> {
  const source = await rawDisk(guest);
  const { files } = await convertInMemory({ source, target: format, options, fileName: FILE_NAME, codecs });
  return files;
}

/** 1.3 MiB of guest disk: data, zeros between, an odd end. */
function sampleGuest(): Uint8Array {
  const guest = new Uint8Array(1_363_456);
  for (let i = 0; i < guest.length; i++) guest[i] = (i * 31 + (i >> 9)) & 0xff;
  guest.fill(0, 70_000, 400_000);
  guest.fill(0, 900_000, 1_200_000);
  return guest;
}

async function readAll(image: DiskImage, step: number): Promise<Uint8Array> {
  const guest = new Uint8Array(image.virtualSize);
  for (let at = 0; at < guest.length; at += step)
    await image.read(at, guest.subarray(at, Math.min(at + step, guest.length)));
  return guest;
}

function sameBytes(actual: Uint8Array, expected: Uint8Array): boolean {
  const tail = actual.subarray(expected.length);
  return Buffer.compare(actual.subarray(0, expected.length), expected) === 0 && tail.every((byte) => byte === 0);
}

describe.each(titled)('%s %s', (_name, _options, format, options) => {
  test('gives back what was written, read in any step', async () => {
    const guest = sampleGuest();
    const image = await openFiles(format, await imageOf(format, guest, options));
    expect(image.virtualSize).toBeGreaterThanOrEqual(guest.length);
    for (const step of [262_144, 65_536, 12_345]) expect(sameBytes(await readAll(image, step), guest)).toBe(true);
  });

  test('has extents in order, without gap, that tell data from zeros truly', async () => {
    const guest = sampleGuest();
    const image = await openFiles(format, await imageOf(format, guest, options));
    let position = 0;
    const extents: Extent[] = [];
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      expect(extent.offset).toBe(position);
      expect(extent.length).toBeGreaterThan(0);
      position += extent.length;
      extents.push(extent);
    }
    expect(position).toBe(image.virtualSize);
    for (const extent of extents.filter((one) => one.state !== 'data')) {
      const claimed = guest.subarray(extent.offset, extent.offset + extent.length);
      expect(claimed.every((byte) => byte === 0)).toBe(true);
    }
  });

  test('gives the extents of a part as it gives those of the whole', async () => {
    const image = await openFiles(format, await imageOf(format, sampleGuest(), options));
    const stateAt = async (offset: number): Promise<string> => {
      for await (const extent of image.extents({ offset, length: 1 })) return extent.state;
      return 'none';
    };
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      expect(await stateAt(extent.offset)).toBe(extent.state);
      expect(await stateAt(extent.offset + extent.length - 1)).toBe(extent.state);
    }
  });

  test('is recognised by its own probe, and examined without a finding that it is unsafe', async () => {
    const own = (await imageOf(format, sampleGuest(), options)).get(FILE_NAME) ?? new Uint8Array();
    expect(format.probe({ size: own.length, head: own.subarray(0, 131_072), tail: own.subarray(-4096) })).toBe(true);
    const { info, findings } = await format.examine(memorySource(own));
    expect(info.virtualSize).toBeGreaterThanOrEqual(sampleGuest().length);
    const unsafe = findings.filter((finding) => finding.severity === 'unsafe' && finding.code !== 'foreign-extent');
    expect(unsafe).toEqual([]);
  });

  test('is found clean by its own check', async () => {
    const own = (await imageOf(format, sampleGuest(), options)).get(FILE_NAME) ?? new Uint8Array();
    const report = (await format.check?.(memorySource(own))) ?? { corruptions: 0, leaks: 0 };
    expect(report).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test('gives the same bytes for the same content', async () => {
    const [first, second] = [
      await imageOf(format, sampleGuest(), options),
      await imageOf(format, sampleGuest(), options),
    ];
    for (const [name, bytes] of first) expect(Buffer.compare(bytes, second.get(name) ?? new Uint8Array())).toBe(0);
  });

  test('holds an empty disk and one of zeros', async () => {
    for (const size of [512, 1_048_576]) {
      const image = await openFiles(format, await imageOf(format, new Uint8Array(size), options));
      expect(sameBytes(await readAll(image, 262_144), new Uint8Array(size))).toBe(true);
    }
  });

  test('refuses to read outside the disk', async () => {
    const image = await openFiles(format, await imageOf(format, new Uint8Array(65_536).fill(1), options));
    for (const offset of [image.virtualSize, image.virtualSize - 1, -1]) {
      await expect(image.read(offset, new Uint8Array(2))).rejects.toMatchObject({ code: 'out_of_bounds' });
    }
  });

  test('holds any disk of random patches', async () => {
    const patches = fc.array(fc.tuple(fc.nat(700_000), fc.uint8Array({ minLength: 1, maxLength: 3000 })), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(patches, fc.integer({ min: 1, max: 1400 }), async (written, sectors) => {
        const guest = new Uint8Array(sectors * 512);
        for (const [at, bytes] of written)
          guest.set(bytes.subarray(0, Math.max(0, guest.length - at)), Math.min(at, guest.length));
        const image = await openFiles(format, await imageOf(format, guest, options));
        expect(sameBytes(await readAll(image, 100_000), guest)).toBe(true);
      }),
      { numRuns: 8 },
    );
  });
});

/** Raw bytes have no structure that could be cut or begun. */
const structured = titled.filter(([name]) => name !== 'raw');

describe.each(structured)('%s %s, having a structure,', (_name, _options, format, options) => {
  test('cut anywhere, is an error or the whole truth, never zeros for data', async () => {
    const guest = sampleGuest();
    const files = await imageOf(format, guest, options);
    for (const [name, bytes] of files) {
      for (let part = 1; part < 24; part++) {
        const cut = new Map(files).set(name, bytes.subarray(0, Math.floor((bytes.length * part) / 24)));
        expect(await isTruthful(format, cut, guest)).toBe(true);
      }
      expect(await isTruthful(format, new Map(files).set(name, bytes.subarray(0, -1)), guest)).toBe(true);
    }
  });

  test('does not look like an image before its last write', async () => {
    const source = await rawDisk(sampleGuest());
    const lastWrites: boolean[] = [];
    let own: MemorySink | undefined;
    const probeNow = (): boolean => {
      const before = own?.bytes() ?? new Uint8Array();
      return format.probe({ size: before.length, head: before.subarray(0, 131_072), tail: before.subarray(-4096) });
    };
    const sinkOf = (file: TargetFile): ByteSink => {
      const sink = memorySink();
      if (file.name === '') own = sink;
      const write = async (offset: number, bytes: Uint8Array): Promise<void> => {
        lastWrites.push(probeNow());
        await sink.write(offset, bytes);
      };
      return Object.assign({}, sink, { write });
    };
    await convertImage({ source, target: format, options, fileName: FILE_NAME, codecs, sinkOf });
    expect(lastWrites.length).toBeGreaterThan(0);
    expect(lastWrites.every((looksLikeAnImage) => !looksLikeAnImage)).toBe(true);
  });
});

/** Either the image opens and holds exactly `guest`, or it is refused as bad input. */
async function isTruthful(format: Format, files: Files, guest: Uint8Array): Promise<boolean> {
  try {
    const image = await openFiles(format, files);
    return sameBytes(await readAll(image, 262_144), guest);
  } catch (error) {
    return error instanceof ImageError && error.code !== 'out_of_bounds';
  }
}
