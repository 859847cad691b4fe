import { describe, expect, test } from 'vitest';
import { memorySource } from '../src/bytes/byte-source.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import { noise } from './vmdk-driver.ts';
import { descriptorFile, edited, granting, openMemory, own, readAll, refusal, vmdkOf } from './vmdk-memory.ts';

const GRAIN = 65_536;
const guest = new Uint8Array(8 * GRAIN);
guest.set(noise(GRAIN, 1), 2 * GRAIN);
const parts = await vmdkOf(guest, { subformat: 'twoGbMaxExtentSparse' });
const part = parts.get('disk-s001.vmdk') ?? new Uint8Array();
const split = { createType: '"twoGbMaxExtentSparse"' };

describe('a disk of several extents is one disk', () => {
  test('sparse extents, zeros between them, a part of the last', async () => {
    const lines = ['RW 1024 SPARSE "a.vmdk"', 'RW 7 ZERO', 'RDONLY 400 SPARSE "b.vmdk"'];
    const files = new Map([
      ['a.vmdk', part],
      ['b.vmdk', part],
    ]);
    const image = await openMemory(descriptorFile(lines, split), granting(files));
    expect(image.virtualSize).toBe(1431 * 512);
    const expected = new Uint8Array(1431 * 512);
    expected.set(guest);
    expected.set(guest.subarray(0, 400 * 512), 1031 * 512);
    expect(Buffer.compare(await readAll(image, 77_777), expected)).toBe(0);
    const states: string[] = [];
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      const { state, offset, length, hostFile } = extent;
      states.push(`${state} ${offset / 512} ${length / 512} ${hostFile}`);
    }
    expect(states).toEqual([
      'absent 0 256 undefined',
      'data 256 128 a.vmdk',
      'absent 384 640 undefined',
      'zero 1024 7 undefined',
      'absent 1031 256 undefined',
      'data 1287 128 b.vmdk',
      'absent 1415 16 undefined',
    ]);
  });

  test('flat extents that begin inside their file', async () => {
    const bytes = noise(20 * 512, 3);
    const lines = ['RW 4 FLAT "x.vmdk" 16', 'RW 4 FLAT "x.vmdk" 0'];
    const files = new Map([['x.vmdk', bytes]]);
    const image = await openMemory(descriptorFile(lines, { createType: '"2gbMaxExtentFlat"' }), granting(files));
    const expected = Buffer.concat([bytes.subarray(16 * 512), bytes.subarray(0, 4 * 512)]);
    expect(Buffer.compare(await readAll(image), expected)).toBe(0);
  });

  test('an extent smaller than the descriptor says is refused, and what was opened is closed', async () => {
    const closed: string[] = [];
    const references: Parameters<typeof openMemory>[1] = async (reference) => {
      const granted = await granting(new Map([['a.vmdk', part]]))({ ...reference, name: 'a.vmdk' });
      const close = async (): Promise<void> => void closed.push(reference.name);
      return { ...granted, source: { ...granted.source, close } };
    };
    const bytes = descriptorFile(['RW 1024 SPARSE "one"', 'RW 1025 SPARSE "two"'], split);
    expect(await refusal(() => openMemory(bytes, references))).toBe('corrupt');
    expect(closed.toSorted()).toEqual(['one', 'two']);
  });

  test('a sparse extent that is itself a descriptor is not followed', async () => {
    const inner = descriptorFile(['RW 8 FLAT "secret" 0']);
    const asked: string[] = [];
    const files = new Map([['a.vmdk', new Uint8Array([...inner, ...new Uint8Array(512)])]]);
    const open = async (): Promise<unknown> =>
      openMemory(descriptorFile(['RW 8 SPARSE "a.vmdk"'], split), granting(files, asked));
    expect(await refusal(open)).toBe('wrong_format');
    expect(asked).toEqual(['a.vmdk']);
  });
});

describe('versions of the sparse header', () => {
  const sparse = new Map<string, Uint8Array>();
  test.each([1, 2, 3])('version %i', async (version) => {
    const bytes = sparse.get('') ?? own(await vmdkOf(guest));
    sparse.set('', bytes);
    const image = await openMemory(edited(bytes, (view) => view.setUint32(4, version, true)));
    expect(Buffer.compare(await readAll(image), guest)).toBe(0);
    expect(image.info.details['header-version']).toBe(version);
  });

  test('an entry of 1 is zeros with the flag and a misplaced grain without', async () => {
    const bytes = own(await vmdkOf(guest, { zeroed_grain: 'on' }));
    const view = new DataView(bytes.buffer);
    const table = view.getUint32(Number(view.getBigUint64(56, true)) * 512, true) * 512;
    const zeroed = edited(bytes, (copy) => copy.setUint32(table + 8, 1, true));
    const image = await openMemory(zeroed);
    expect((await readAll(image)).every((byte) => byte === 0)).toBe(true);
    const states: string[] = [];
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) states.push(extent.state);
    expect(states).toEqual(['absent', 'zero', 'absent']);
    const unflagged = edited(zeroed, (copy) => copy.setUint32(8, 3, true));
    expect(await refusal(async () => readAll(await openMemory(unflagged)))).toBe('corrupt');
  });
});

test('the tables of a very large disk are examined at both ends, and checked all', async () => {
  const tableCount = 20_000;
  const directory = 64 * 512;
  const tables = directory + Math.ceil((tableCount * 4) / 512) * 512;
  const size = tables + tableCount * 2048;
  const head = own(await vmdkOf(guest)).slice(0, directory);
  const view = new DataView(head.buffer);
  view.setUint32(8, 1, true);
  view.setBigUint64(12, BigInt(tableCount * 512 * 128), true);
  view.setBigUint64(56, BigInt(directory / 512), true);
  const bytes = new Uint8Array(size);
  bytes.set(head);
  const words = new DataView(bytes.buffer);
  for (let i = 0; i < tableCount; i++) words.setUint32(directory + i * 4, (tables + i * 2048) / 512, true);
  for (const table of [3, 10_000, 19_999]) words.setUint32(tables + table * 2048, 0x7fffffff, true);
  let read = 0;
  const plain = memorySource(bytes);
  const source = {
    ...plain,
    async read(offset: number, into: Uint8Array) {
      read += into.length;
      await plain.read(offset, into);
    },
  };
  const { findings } = await vmdk.examine(source);
  expect(findings.map((finding) => [finding.code, finding.message.split(' ')[0]])).toEqual([
    ['size-mismatch', 'The'],
    ['truncated', '2'],
  ]);
  expect(read).toBeLessThan(18 * 2 ** 20);
  expect((await vmdk.check?.(source))?.corruptions).toBe(3);
});
