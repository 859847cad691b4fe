/** The formats that are read but not written: against qemu-img, cut short, and damaged. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DiskImage, Extent } from '../src/index.ts';
import { denyReferences, findFormat, ImageError, memorySource } from '../src/index.ts';
import { deflateSync } from 'node:zlib';
import type { UdifChunk } from './old-formats.ts';
import { bochsOf, cloopOf, olderParallels, udifChunks, udifOf } from './old-formats.ts';
import { packedBy } from './packed.ts';
import type { Peer } from './qcow2-peer.ts';
import { mixedGuest, openPeer, readAll, testCodecs } from './qcow2-peer.ts';

const SIZE = 6 * 2 ** 20 + 512 * 7;

interface Sample {
  readonly name: string;
  readonly format: string;
  readonly make: () => Promise<Uint8Array>;
  /** What is read of it; the guest disk is rounded up by some formats. */
  readonly guest: Uint8Array;
  /** False where Debian's qemu-img lacks a codec that it has in a package of its own. */
  readonly judged?: boolean;
}

let peer: Peer;
const guest = mixedGuest(SIZE);
/** qemu-img compresses only disks of whole clusters. */
const whole = guest.subarray(0, 6 * 2 ** 20);
const small = mixedGuest(640 * 1024);
let samples: readonly (Sample & { readonly bytes: Uint8Array })[];

function converted(name: string, format: string, options: readonly string[], disk: Uint8Array = guest): Sample {
  const make = async (): Promise<Uint8Array> => {
    await peer.write('guest.raw', disk);
    // qemu-img 7.2 exits with 1 after it has written a whole compressed qcow.
    await peer.img(
      ['convert', '-f', 'raw', '-O', format, ...options, 'guest.raw', 'disk.img'],
      options.includes('-c') ? [1] : [],
    );
    return peer.read('disk.img');
  };
  return { name, format, guest: disk, make };
}

/** A UDIF image by hand: zlib and plain chunks in turn, or bzip2 and plain ones. */
function udif(
  name: string,
  kind: 'property list' | 'resource fork',
  disk: Uint8Array,
  packer: 'zlib' | 'bzip2',
): Sample {
  const make = async (): Promise<Uint8Array> => {
    const chunks: UdifChunk[] = [];
    const chunkBytes = disk.length > 2 ** 20 ? 262_144 : 32_768;
    for (const chunk of udifChunks(disk, chunkBytes, (part, i) => ({ type: i % 4 === 0 ? 1 : 3, stored: part }))) {
      if (chunk.type !== 3) chunks.push(chunk);
      else if (packer === 'zlib') chunks.push({ ...chunk, type: 0x80000005, stored: deflateSync(chunk.guest) });
      else chunks.push({ ...chunk, type: 0x80000006, stored: await packedBy('bzip2', [], chunk.guest) });
    }
    return udifOf(chunks, kind);
  };
  return { name, format: 'dmg', guest: disk, make, judged: packer === 'zlib' };
}

const PARALLELS = converted('parallels', 'parallels', []);
const RECIPES: readonly Sample[] = [
  converted('qed', 'qed', []),
  converted('qed of small clusters', 'qed', ['-o', 'cluster_size=16k,table_size=4']),
  converted('small qed', 'qed', ['-o', 'cluster_size=4k,table_size=2'], small),
  PARALLELS,
  converted('parallels of small blocks', 'parallels', ['-o', 'cluster_size=64k'], small),
  {
    ...PARALLELS,
    name: 'parallels with the older magic',
    make: async () => olderParallels(await PARALLELS.make()),
  },
  converted('qcow', 'qcow', []),
  converted('compressed qcow', 'qcow', ['-c'], whole),
  converted('small compressed qcow', 'qcow', ['-c'], small),
  udif('dmg of zlib', 'property list', guest, 'zlib'),
  udif('dmg of bzip2', 'property list', guest, 'bzip2'),
  udif('dmg with a resource fork', 'resource fork', guest, 'zlib'),
  udif('small dmg of zlib', 'property list', small, 'zlib'),
  udif('small dmg of bzip2', 'resource fork', small, 'bzip2'),
  { name: 'cloop', format: 'cloop', guest, make: async () => cloopOf(guest, 65_536) },
  { name: 'small cloop', format: 'cloop', guest: small, make: async () => cloopOf(small, 512 * 25) },
  { name: 'bochs', format: 'bochs', guest, make: async () => bochsOf(guest, 2 ** 20) },
  { name: 'small bochs', format: 'bochs', guest: small, make: async () => bochsOf(small, 32_768) },
];

async function openAs(format: string, bytes: Uint8Array): Promise<DiskImage> {
  const image = await findFormat(format)?.open?.(memorySource(bytes), {
    codecs: testCodecs,
    references: denyReferences,
  });
  if (image === undefined) throw new Error(`${format} can be opened`);
  return image;
}

async function extentsOf(image: DiskImage): Promise<Extent[]> {
  const extents: Extent[] = [];
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) extents.push(extent);
  return extents;
}

beforeAll(async () => {
  peer = await openPeer();
  const made = [];
  for (const recipe of RECIPES) made.push({ ...recipe, bytes: await recipe.make() });
  samples = made;
});
afterAll(() => peer.close());

function sample(name: string): Sample & { readonly bytes: Uint8Array } {
  const found = samples.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is a sample ${name}`);
  return found;
}

describe.each(RECIPES.map(({ name }) => name))('%s', (name) => {
  test('reads as the disk it was made from, and is that disk to qemu-img too', async () => {
    const { format, bytes, guest: expected, judged = true } = sample(name);
    const read = await readAll(await openAs(format, bytes));
    expect(read.length).toBeGreaterThanOrEqual(expected.length);
    expect(Buffer.compare(read.subarray(0, expected.length), expected)).toBe(0);
    expect(read.subarray(expected.length).every((byte) => byte === 0)).toBe(true);
    if (!judged) return;
    await peer.write('judged.img', bytes);
    await peer.write('read.raw', read);
    await peer.img(['compare', '-f', format, '-F', 'raw', 'judged.img', 'read.raw']);
  });

  test('has a map that agrees with what is read', async () => {
    const { format, bytes } = sample(name);
    const image = await openAs(format, bytes);
    const read = await readAll(image, 65_536);
    for (const extent of await extentsOf(image)) {
      const part = read.subarray(extent.offset, extent.offset + extent.length);
      if (extent.state !== 'data') expect(part.every((byte) => byte === 0)).toBe(true);
      if (extent.hostOffset === undefined || extent.state !== 'data') continue;
      expect(Buffer.compare(part, bytes.subarray(extent.hostOffset, extent.hostOffset + extent.length))).toBe(0);
    }
  });

  test('refuses to read outside the disk', async () => {
    const { format, bytes } = sample(name);
    const image = await openAs(format, bytes);
    for (const offset of [-1, image.virtualSize - 1, image.virtualSize]) {
      await expect(image.read(offset, new Uint8Array(2))).rejects.toMatchObject({ code: 'out_of_bounds' });
    }
  });

  test('cut anywhere, is an error or the whole truth', async () => {
    const { format, bytes, guest: expected } = sample(name);
    const cuts = [...Array.from({ length: 23 }, (_, i) => Math.floor((bytes.length * (i + 1)) / 24)), bytes.length - 1];
    for (const cut of cuts) {
      const outcome = await outcomeOf(async () => readAll(await openAs(format, bytes.subarray(0, cut)), 262_144));
      if (outcome instanceof Uint8Array) {
        expect(Buffer.compare(outcome.subarray(0, expected.length), expected)).toBe(0);
      } else {
        expect(['truncated', 'corrupt', 'wrong_format']).toContain(outcome);
      }
    }
  });
});

/** What `work` gives, or the code of its ImageError. */
async function outcomeOf<T>(work: () => Promise<T>): Promise<T | string> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ImageError) return error.code;
    throw error;
  }
}

const KNOWN = ['wrong_format', 'unsupported', 'corrupt', 'truncated', 'unsafe', 'out_of_bounds'];

describe('damaged images give ImageErrors and nothing else', () => {
  test.each([
    'small qed',
    'parallels of small blocks',
    'small compressed qcow',
    'small cloop',
    'small bochs',
    'small dmg of zlib',
    'small dmg of bzip2',
  ])('%s', async (name) => {
    const { format, bytes } = sample(name);
    const nearEnd = fc.nat(2048).map((distance) => Math.max(0, bytes.length - 1 - distance));
    const place = fc.oneof(fc.nat(255), fc.nat(bytes.length - 1), fc.nat(8192), nearEnd);
    const value = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255));
    const edit = fc.record({ at: place, value, width: fc.constantFrom(1, 2, 4, 8) });
    const edits = fc.array(edit, { minLength: 1, maxLength: 4 });
    const cut = fc.oneof(fc.constant(bytes.length), fc.nat(bytes.length));
    await fc.assert(
      fc.asyncProperty(edits, cut, async (changes, length) => {
        const damaged = bytes.slice(0, length);
        for (const { at, value: byte, width } of changes) damaged.fill(byte, at, at + width);
        expect(KNOWN).toContain(await outcomeOf(() => exercise(format, damaged)));
      }),
      { numRuns: 300 },
    );
  });
});

/** Reads the ends of the disk and its map; gives a code that is always known. */
async function exercise(format: string, bytes: Uint8Array): Promise<string> {
  const image = await openAs(format, bytes);
  const buffer = new Uint8Array(Math.min(image.virtualSize, 2 ** 18));
  await outcomeOf(() => image.read(0, buffer));
  await outcomeOf(() => image.read(image.virtualSize - buffer.length, buffer));
  await outcomeOf(() => extentsOf(image));
  return 'corrupt';
}

describe('what an image may say about itself', () => {
  test('a qed zero cluster hides the backing file, an absent one does not', async () => {
    await peer.img(['create', '-q', '-f', 'qed', '-b', 'under.raw', '-F', 'raw', '-u', 'over.qed', '1M']);
    await peer.write('under.raw', new Uint8Array(2 ** 20).fill(7));
    await peer.io('over.qed', ['write -P 5 0 64k', 'write -z 64k 64k']);
    const image = await openAs('qed', await peer.read('over.qed'));
    expect(image.info.backing).toEqual({ kind: 'backing', name: 'under.raw', format: 'raw' });
    expect((await extentsOf(image)).map(({ state, length }) => [state, length])).toEqual([
      ['data', 65_536],
      ['zero', 65_536],
      ['absent', 2 ** 20 - 131_072],
    ]);
  });

  test('an encrypted qcow is refused by the name of its cipher', async () => {
    const secret = ['--object', 'secret,id=key,data=passphrase'];
    const options = ['-o', 'encrypt.format=aes,encrypt.key-secret=key'];
    await peer.img(['create', '-q', ...secret, '-f', 'qcow', ...options, 'secret.qcow', '1M']);
    const opening = openAs('qcow', await peer.read('secret.qcow'));
    await expect(opening).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('AES-CBC') });
  });

  test('a parallels block over the header is corrupt', async () => {
    const bytes = Uint8Array.from(sample('parallels with the older magic').bytes);
    bytes.set([1, 0, 0, 0], 64);
    expect(await outcomeOf(async () => readAll(await openAs('parallels', bytes)))).toBe('corrupt');
  });

  test('a parallels image that calls itself empty and has blocks is corrupt', async () => {
    const bytes = Uint8Array.from(sample('parallels').bytes);
    bytes[52] = 1;
    expect(await outcomeOf(() => openAs('parallels', bytes))).toBe('corrupt');
  });

  test('a parallels image in use is dirty, and can be read', async () => {
    const bytes = Uint8Array.from(sample('parallels').bytes);
    bytes.set(new TextEncoder().encode('Ynot'), 44);
    expect((await openAs('parallels', bytes)).info.dirty).toBe(true);
  });

  test('a parallels image with a necessary unknown feature is refused', async () => {
    const { bytes } = sample('parallels of small blocks');
    const extended = Buffer.concat([bytes, Buffer.alloc(65_536)]);
    extended.writeBigUInt64LE(BigInt(bytes.length / 512), 56);
    extended.writeBigUInt64LE(0xab234cef23dcea87n, bytes.length);
    extended.writeBigUInt64LE(77n, bytes.length + 24);
    expect(await outcomeOf(() => openAs('parallels', extended))).toMatchObject({ virtualSize: small.length });
    extended.writeBigUInt64LE(1n, bytes.length + 32);
    expect(await outcomeOf(() => openAs('parallels', extended))).toBe('unsupported');
  });
});

describe('a dmg', () => {
  const oneChunk = (type: number, stored: Uint8Array): Uint8Array =>
    udifOf([{ type, guest: small, stored }], 'property list');

  test('reads chunks of LZMA, which are xz streams', async () => {
    const bytes = oneChunk(0x80000008, await packedBy('xz', ['--check=crc32'], small));
    expect(Buffer.compare(await readAll(await openAs('dmg', bytes)), small)).toBe(0);
  });

  test.each([
    { name: 'ADC', type: 0x80000004 },
    { name: 'LZFSE', type: 0x80000007 },
    { name: '0x80000099', type: 0x80000099 },
  ])('of $name chunks is refused by that name', async ({ name, type }) => {
    const opening = openAs('dmg', oneChunk(type, new Uint8Array(100)));
    await expect(opening).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining(name) });
  });

  test.each([
    {
      name: 'a chunk that holds less than it says',
      chunk: { type: 0x80000005, stored: deflateSync(small.subarray(512)) },
    },
    { name: 'a chunk that holds more than it says', chunk: { type: 0x80000005, stored: deflateSync(guest) } },
    { name: 'a plain chunk of another length', chunk: { type: 1, stored: small.subarray(512) } },
    { name: 'a damaged chunk', chunk: { type: 0x80000006, stored: new Uint8Array(50) } },
  ])('with $name is corrupt', async ({ chunk }) => {
    expect(await outcomeOf(async () => readAll(await openAs('dmg', oneChunk(chunk.type, chunk.stored))))).toBe(
      'corrupt',
    );
  });

  test('with a hole in its tables, or a disk that they do not cover, is corrupt', async () => {
    const bytes = Buffer.from(oneChunk(1, small));
    bytes.writeBigUInt64BE(BigInt(small.length / 512 + 1), bytes.length - 20);
    expect(await outcomeOf(() => openAs('dmg', bytes))).toBe('corrupt');
  });

  test('with a chunk beyond its data is truncated', async () => {
    const bytes = Buffer.from(oneChunk(1, small));
    bytes.writeBigUInt64BE(BigInt(bytes.length), bytes.length - 512 + 24);
    expect(await outcomeOf(() => openAs('dmg', bytes))).toBe('truncated');
  });
});
