import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DiskImage, Extent, GivenOptions } from '../src/index.ts';
import { convertImage, memorySink, memorySource } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { raw } from '../src/formats/raw/raw.ts';
import type { Peer } from './qcow2-peer.ts';
import { openBytes, openPeer, testCodecs as codecs } from './qcow2-peer.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const KIB = 1024;
const SIZE = 8 * 1024 * KIB;
const BASE_SIZE = 6 * 1024 * KIB;

function rawDisk(bytes: Uint8Array): Promise<DiskImage> {
  return (
    raw.open?.(memorySource(bytes), { codecs, references: async () => Promise.reject(new Error('none')) }) ?? fail()
  );
}

function fail(): never {
  throw new Error('raw images can be read');
}

/** The base has ones from 1 MiB to 4 MiB; the source as well, but for what the overlay must hold. */
function guests(): { readonly base: Uint8Array; readonly source: Uint8Array } {
  const base = new Uint8Array(BASE_SIZE).fill(1, 1024 * KIB, 4096 * KIB);
  const source = new Uint8Array(SIZE);
  source.set(base);
  source.fill(0, 2048 * KIB, 2304 * KIB);
  source.fill(7, 3000 * KIB, 3001 * KIB);
  source.fill(0, 3500 * KIB, 3502 * KIB);
  source.fill(9, 7000 * KIB, 7100 * KIB);
  return { base, source };
}

async function overlay(options: GivenOptions): Promise<Uint8Array> {
  const { base, source } = guests();
  const sink = memorySink();
  await convertImage({
    source: await rawDisk(source),
    target: qcow2,
    options,
    fileName: 'overlay.qcow2',
    over: { reference: { kind: 'backing', name: 'base.raw', format: 'raw' }, base: await rawDisk(base) },
    codecs,
    sinkOf: () => sink,
  });
  await peer.write('base.raw', base);
  await peer.write('source.raw', source);
  await peer.write('overlay.qcow2', sink.bytes());
  return sink.bytes();
}

test.each<GivenOptions>([
  {},
  { compression: 'zlib' },
  { compression: 'zstd', cluster_size: '4k' },
  { cluster_size: '512' },
  { cluster_size: '2M' },
  { compat: '0.10' },
  { compat: '0.10', compression: 'zlib' },
  { extended_l2: 'on' },
  { extended_l2: 'on', compression: 'zlib' },
  { extended_l2: 'on', preallocation: 'full' },
  { refcount_bits: '1', compression: 'zlib' },
])('an overlay with %j is clean, equal and stands on its base', async (options) => {
  await overlay(options);
  const report = JSON.parse(await peer.img(['check', '--output=json', 'overlay.qcow2'], [2, 3])) as Record<
    string,
    number
  >;
  expect({ corruptions: report['corruptions'] ?? 0, leaks: report['leaks'] ?? 0 }).toEqual({
    corruptions: 0,
    leaks: 0,
  });
  expect(await peer.img(['compare', '-f', 'qcow2', '-F', 'raw', 'overlay.qcow2', 'source.raw'], [1])).toContain(
    'identical',
  );
  const info = JSON.parse(await peer.img(['info', '--output=json', 'overlay.qcow2'], [])) as Record<string, unknown>;
  expect(info).toMatchObject({ 'backing-filename': 'base.raw', 'backing-filename-format': 'raw' });
});

type State = Pick<Extent, 'offset' | 'length' | 'state'>;

/** Neighbours of one kind as one, in KiB. */
async function states(image: DiskImage): Promise<State[]> {
  const found: State[] = [];
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
    const { state, offset, length } = { ...extent, offset: extent.offset / KIB, length: extent.length / KIB };
    const last = found.at(-1);
    if (last?.state === state) found[found.length - 1] = { ...last, length: last.length + length };
    else found.push({ offset, length, state });
  }
  return found;
}

test('only what differs is stored, and zeros that hide bytes take no space', async () => {
  expect(await states(await openBytes(await overlay({})))).toEqual([
    { offset: 0, length: 2048, state: 'absent' },
    { offset: 2048, length: 256, state: 'zero' },
    { offset: 2304, length: 640, state: 'absent' },
    { offset: 2944, length: 64, state: 'data' },
    { offset: 3008, length: 448, state: 'absent' },
    { offset: 3456, length: 64, state: 'data' },
    { offset: 3520, length: 3456, state: 'absent' },
    { offset: 6976, length: 128, state: 'data' },
    { offset: 7104, length: 1088, state: 'absent' },
  ]);
});

test('a version 2 overlay stores the zeros that hide bytes', async () => {
  const found = await states(await openBytes(await overlay({ compat: '0.10' })));
  expect(found[1]).toEqual({ offset: 2048, length: 256, state: 'data' });
});

test.each<{ readonly options: GivenOptions; readonly nameLength: number; readonly why: string }>([
  { options: { preallocation: 'metadata' }, nameLength: 4, why: 'only with extended_l2=on' },
  {
    options: { preallocation: 'metadata', extended_l2: 'on' },
    nameLength: 4,
    why: 'preallocated image with a backing image',
  },
  { options: { cluster_size: '512' }, nameLength: 600, why: 'fit' },
  { options: {}, nameLength: 1100, why: '1023 fit' },
])('an overlay with $options on a base whose name has $nameLength bytes is refused', async (refused) => {
  const { base, source } = guests();
  const reference = { kind: 'backing', name: 'x'.repeat(refused.nameLength), format: 'raw' } as const;
  const conversion = convertImage({
    source: await rawDisk(source),
    target: qcow2,
    options: refused.options,
    fileName: 'overlay.qcow2',
    over: { reference, base: await rawDisk(base) },
    codecs,
    sinkOf: () => memorySink(),
  });
  await expect(conversion).rejects.toThrow(refused.why);
});

test('a format without backing images is refused', async () => {
  const { base, source } = guests();
  const conversion = convertImage({
    source: await rawDisk(source),
    target: raw,
    fileName: 'overlay.raw',
    over: { reference: { kind: 'backing', name: 'base', format: 'raw' }, base: await rawDisk(base) },
    codecs,
    sinkOf: () => memorySink(),
  });
  await expect(conversion).rejects.toThrow('New raw images cannot stand on a backing image');
});
