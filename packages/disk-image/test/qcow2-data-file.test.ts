import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GivenOptions } from '../src/index.ts';
import { convertInMemory, denyReferences, memorySource } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { raw } from '../src/formats/raw/raw.ts';
import type { Peer } from './qcow2-peer.ts';
import { mixedGuest, openBytes, openPeer, readAll, testCodecs } from './qcow2-peer.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const guest = mixedGuest(3_000_320);

async function made(options: GivenOptions): Promise<ReadonlyMap<string, Uint8Array>> {
  const source = await raw.open?.(memorySource(guest), { codecs: testCodecs, references: denyReferences });
  if (source === undefined) throw new Error('raw images can be read');
  const request = { source, target: qcow2, codecs: testCodecs, fileName: 'disk.qcow2' };
  return (await convertInMemory({ ...request, options: { data_file: 'data.raw', ...options } })).files;
}

test.each<GivenOptions>([
  {},
  { data_file_raw: 'on' },
  { cluster_size: '512' },
  { extended_l2: 'on', data_file_raw: 'on' },
  { preallocation: 'metadata', refcount_bits: '1' },
])('an image with a data file and %j is clean and equal, and so is its data file', async (options) => {
  const files = await made(options);
  expect([...files.keys()].toSorted()).toEqual(['data.raw', 'disk.qcow2']);
  for (const [name, bytes] of files) await peer.write(name, bytes);
  await peer.write('guest.raw', guest);
  expect(await peer.img(['check', 'disk.qcow2'])).toContain('No errors were found');
  expect(await peer.img(['compare', '-F', 'raw', 'disk.qcow2', 'guest.raw'])).toContain('identical');
  expect(Buffer.compare(files.get('data.raw') ?? new Uint8Array(), guest)).toBe(0);
  const info = JSON.parse(await peer.img(['info', '--output=json', 'disk.qcow2'])) as Record<string, unknown>;
  const raws = options['data_file_raw'] === 'on';
  expect(info).toMatchObject({ 'format-specific': { data: { 'data-file': 'data.raw', 'data-file-raw': raws } } });
  const references = async (): ReturnType<typeof denyReferences> => ({
    source: memorySource(files.get('data.raw') ?? new Uint8Array()),
    references: denyReferences,
    identity: 'data',
  });
  const image = await openBytes(files.get('disk.qcow2') ?? new Uint8Array(), { references });
  expect(Buffer.compare(await readAll(image), guest)).toBe(0);
});

test.each<GivenOptions>([
  { data_file: '../data.raw' },
  { data_file: '/data.raw' },
  { data_file: '..' },
  { data_file: 'disk.qcow2' },
  { data_file: 'nbd:x' },
  { data_file: '' },
  { compression: 'zlib' },
  { compat: '0.10' },
])('%j is refused', async (options) => {
  await expect(made(options)).rejects.toMatchObject({ code: 'out_of_bounds' });
});
