import { describe, expect, test } from 'vitest';
import { memorySource } from '../src/bytes/byte-source.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import { noise } from './vmdk-driver.ts';
import {
  descriptorFile,
  edited,
  examineMemory,
  granting,
  openMemory,
  own,
  readAll,
  refusal,
  vmdkOf,
  withDescriptor,
} from './vmdk-memory.ts';

const GRAIN = 65_536;
const guest = new Uint8Array(40 * GRAIN);
guest.set(noise(3 * GRAIN, 1), 0);
guest.set(noise(2 * GRAIN, 2), 20 * GRAIN);

const sparse = own(await vmdkOf(guest));
const stream = own(await vmdkOf(guest, { subformat: 'streamOptimized' }));

/** Byte offset of the grain table of `sparse`, and of the directory, redundant and not. */
const header = new DataView(sparse.buffer);
const directory = Number(header.getBigUint64(56, true)) * 512;
const redundant = Number(header.getBigUint64(48, true)) * 512;
const table = header.getUint32(directory, true) * 512;

async function outcome(bytes: Uint8Array): Promise<{ open: string; findings: readonly string[] }> {
  const open = await refusal(async () => readAll(await openMemory(bytes)));
  const source = memorySource(bytes);
  try {
    const { findings } = await vmdk.examine(source);
    return { open, findings: findings.map((finding) => finding.code) };
  } catch {
    return { open, findings: ['refused'] };
  }
}

describe('a sparse extent that breaks the specification is refused and reported', () => {
  const setU64 = (at: number, value: bigint): Uint8Array =>
    edited(sparse, (view) => view.setBigUint64(at, value, true));
  const setU32 = (at: number, value: number): Uint8Array => edited(sparse, (view) => view.setUint32(at, value, true));
  test.each([
    { name: 'version 4', bytes: setU32(4, 4), open: 'unsupported', code: 'unsupported-version' },
    { name: 'version 0', bytes: setU32(4, 0), open: 'unsupported', code: 'unsupported-version' },
    { name: 'an unknown feature', bytes: setU32(8, 0x80003), open: 'unsupported', code: 'unknown-feature' },
    {
      name: 'compressed without an algorithm',
      bytes: setU32(8, 0x30003),
      open: 'corrupt',
      code: 'contradictory-header',
    },
    {
      name: 'markers without compression',
      bytes: setU32(8, 0x20003),
      open: 'unsupported',
      code: 'unsupported-subformat',
    },
    {
      name: 'line ends changed by a text copy',
      bytes: edited(sparse, (_view, copy) => copy.fill(0x0a, 75, 76)),
      open: 'corrupt',
      code: 'text-mode-damage',
    },
    { name: 'a capacity of 0', bytes: setU64(12, 0n), open: 'corrupt', code: 'zero-capacity' },
    { name: 'a capacity of 128 PiB', bytes: setU64(12, 2n ** 48n), open: 'corrupt', code: 'refused' },
    { name: 'a capacity of 65 TiB', bytes: setU64(12, 65n * 2n ** 31n), open: 'unsafe', code: 'size-bomb-virtual' },
    { name: 'grains of 3 sectors', bytes: setU64(20, 3n), open: 'corrupt', code: 'bad-grain-size' },
    { name: 'grains of 0 sectors', bytes: setU64(20, 0n), open: 'corrupt', code: 'bad-grain-size' },
    { name: 'grains of 4 MiB', bytes: setU64(20, 8192n), open: 'corrupt', code: 'bad-grain-size' },
    { name: 'no entries in a table', bytes: setU32(44, 0), open: 'corrupt', code: 'size-bomb-table' },
    { name: '2^32 - 1 entries in a table', bytes: setU32(44, 0xffffffff), open: 'corrupt', code: 'size-bomb-table' },
    {
      name: 'a directory too large',
      bytes: edited(sparse, (view) => {
        view.setBigUint64(12, 2n ** 36n, true);
        view.setBigUint64(20, 1n, true);
      }),
      open: 'unsafe',
      code: 'size-bomb-table',
    },
    { name: 'a descriptor of 2 MiB', bytes: setU64(36, 4096n), open: 'unsafe', code: 'size-bomb-table' },
    { name: 'a directory at sector 0', bytes: setU64(56, 0n), open: 'corrupt', code: 'overlapping-tables' },
    { name: 'a directory in the descriptor', bytes: setU64(56, 3n), open: 'corrupt', code: 'overlapping-tables' },
    { name: 'a directory past the end', bytes: setU64(56, 2n ** 20n), open: 'truncated', code: 'table-outside-file' },
    {
      name: 'a directory in the footer that is not there',
      bytes: setU64(56, 2n ** 64n - 1n),
      open: 'truncated',
      code: 'truncated',
    },
    {
      name: 'a table past the end',
      bytes: setU32(directory, 0x7fffffff),
      open: 'truncated',
      code: 'table-outside-file',
    },
    { name: 'a table over the header', bytes: setU32(directory, 1), open: 'corrupt', code: 'overlapping-tables' },
    { name: 'a grain past the end', bytes: setU32(table, 0xfffffff0), open: 'truncated', code: 'truncated' },
    { name: 'a grain over the header', bytes: setU32(table, 1), open: 'corrupt', code: 'overlapping-grains' },
    {
      name: 'half of the last grain cut off',
      bytes: sparse.subarray(0, sparse.length - 30_000),
      open: 'truncated',
      code: 'truncated',
    },
    { name: 'cut off inside the header', bytes: sparse.subarray(0, 300), open: 'truncated', code: 'refused' },
    { name: 'cut off inside the descriptor', bytes: sparse.subarray(0, 3000), open: 'truncated', code: 'refused' },
  ])('$name', async ({ bytes, open, code }) => {
    const got = await outcome(bytes);
    expect(got.open).toBe(open);
    expect(got.findings).toContain(code);
  });

  test('nothing is found in an image as it was written', async () => {
    expect(await outcome(sparse)).toEqual({ open: 'none', findings: [] });
    expect(await outcome(stream)).toEqual({ open: 'none', findings: [] });
  });

  test('an image that was not closed is dirty, and still read', async () => {
    const bytes = edited(sparse, (_view, copy) => copy.fill(1, 72, 73));
    const { info, findings } = await examineMemory(bytes);
    expect(info.dirty).toBe(true);
    expect(findings.map((finding) => finding.code)).toEqual(['dirty']);
    expect(Buffer.compare(await readAll(await openMemory(bytes)), guest)).toBe(0);
  });
});

describe('an embedded descriptor that asks for more than its own file is refused', () => {
  const extentLine = `RW ${guest.length / 512} SPARSE "disk.vmdk"`;
  test.each([
    {
      name: 'a second extent',
      to: `${extentLine}\nRW 2 FLAT "/etc/passwd" 0`,
      open: 'unsupported',
      code: 'foreign-extent',
    },
    { name: 'a flat extent', to: 'RW 5120 FLAT "/etc/passwd" 0', open: 'unsupported', code: 'foreign-extent' },
    { name: 'an extent line that makes no sense', to: 'RW many SPARSE "x"', open: 'corrupt', code: 'refused' },
    {
      name: 'a name with a path, which is not followed',
      to: `RW 5120 SPARSE "../x.vmdk"`,
      open: 'none',
      code: 'unsafe-extent-name',
    },
    { name: 'another size', to: 'RW 512 SPARSE "disk.vmdk"', open: 'none', code: 'size-mismatch' },
  ])('$name', async ({ to, open, code }) => {
    const got = await outcome(withDescriptor(sparse, extentLine, to));
    expect(got.open).toBe(open);
    expect(got.findings).toContain(code);
  });

  test.each([
    {
      name: 'a parent without a name',
      from: 'parentCID=ffffffff',
      to: 'parentCID=12345678',
      code: 'differencing-parent',
    },
    { name: 'no createType', from: 'createType', to: 'createTyp0', code: 'missing-create-type' },
    { name: 'an unknown createType', from: 'monolithicSparse', to: 'somethingElse', code: 'unsupported-subformat' },
    { name: 'a flat createType', from: 'monolithicSparse', to: 'monolithicFlat', code: 'unsupported-subformat' },
    { name: 'version 9', from: 'version=1', to: 'version=9', code: 'unsupported-version' },
  ])('$name', async ({ from, to, code }) => {
    const got = await outcome(withDescriptor(sparse, from, to));
    expect(got.open).toBe('unsupported');
    expect(got.findings).toContain(code);
  });

  test('a second createType is not overlooked', async () => {
    const bytes = withDescriptor(sparse, '# Extent', 'createType="vmfs"\n# Extent');
    expect(await outcome(bytes)).toEqual({ open: 'corrupt', findings: ['refused'] });
  });

  test('a sparse extent without a descriptor is a part, not a disk', async () => {
    const files = await vmdkOf(guest, { subformat: 'twoGbMaxExtentSparse' });
    const part = files.get('disk-s001.vmdk') ?? new Uint8Array();
    expect(await outcome(part)).toEqual({ open: 'unsupported', findings: ['missing-descriptor'] });
  });
});

describe('a descriptor opens nothing that its names do not allow', () => {
  test.each([
    '/etc/passwd',
    '../other.vmdk',
    '..',
    '.',
    '',
    'sub/disk.vmdk',
    'sub\\disk.vmdk',
    'C:disk.vmdk',
    'nbd:localhost:10809',
    'json:{}',
    'a\tb.vmdk',
    'x'.repeat(300),
  ])('%j is refused before the policy is asked', async (name) => {
    const asked: string[] = [];
    const bytes = descriptorFile([`RW 8 FLAT "${name}" 0`]);
    expect(await refusal(() => openMemory(bytes, granting(new Map(), asked)))).toBe('unsafe');
    expect(asked).toEqual([]);
    const codes = (await examineMemory(bytes)).findings.map((finding) => finding.code);
    expect(codes).toEqual(['unsafe-extent-name', 'foreign-extent']);
  });

  test('a name with a NUL never reaches the policy', async () => {
    const asked: string[] = [];
    const bytes = descriptorFile(['RW 8 FLAT "a\0b" 0']);
    expect(await refusal(() => openMemory(bytes, granting(new Map(), asked)))).toBe('unsafe');
    expect(asked).toEqual([]);
  });

  test('the default denies', async () => {
    expect(await refusal(() => openMemory(descriptorFile(['RW 8 FLAT "disk-flat.vmdk" 0'])))).toBe('unsafe');
  });

  test.each([
    'vmfs',
    'vmfsSparse',
    'vmfsThin',
    'vmfsRaw',
    'vmfsRDM',
    'seSparse',
    'custom',
    'fullDevice',
    'partitionedDevice',
  ])('%s is refused by its name', async (createType) => {
    const bytes = descriptorFile(['RW 8 FLAT "x.vmdk" 0'], { createType: `"${createType}"` });
    await expect(openMemory(bytes)).rejects.toThrow(createType);
    expect(await outcome(bytes)).toMatchObject({ open: 'unsupported' });
    expect((await examineMemory(bytes)).findings[0]?.code).toBe('unsupported-subformat');
  });

  test.each([
    { name: 'no extents', extents: [], open: 'corrupt', code: 'no-extents' },
    { name: 'NOACCESS', extents: ['NOACCESS 8 FLAT "x.vmdk" 0'], open: 'unsupported', code: 'no-access-extent' },
    {
      name: 'another type of extent',
      extents: ['RW 8 VMFS "x.vmdk"'],
      open: 'unsupported',
      code: 'unsupported-subformat',
    },
    { name: '100 TiB', extents: [`RW ${100 * 2 ** 31} FLAT "x.vmdk" 0`], open: 'unsafe', code: 'size-bomb-virtual' },
    {
      name: 'more than 4096 extents',
      extents: Array.from({ length: 4097 }, (_, i) => `RW 8 FLAT "x${i}.vmdk" 0`),
      open: 'unsafe',
      code: 'refused',
    },
  ])('$name', async ({ extents, open, code }) => {
    const got = await outcome(descriptorFile(extents));
    expect(got.open).toBe(open);
    expect(got.findings).toContain(code);
  });

  test('a flat extent shorter than promised is truncated', async () => {
    const files = new Map([['x.vmdk', new Uint8Array(4095)]]);
    const open = async (): Promise<unknown> => openMemory(descriptorFile(['RW 8 FLAT "x.vmdk" 0']), granting(files));
    expect(await refusal(open)).toBe('truncated');
  });

  test('a descriptor of more than 1 MiB is not read', async () => {
    const bytes = new Uint8Array(2 ** 20 + 1).fill(0x20);
    bytes.set(descriptorFile(['RW 8 FLAT "x.vmdk" 0']));
    expect(await refusal(() => openMemory(bytes))).toBe('unsafe');
  });
});

describe('ESX extents are recognised and refused', () => {
  const seSparse = new Uint8Array(4096);
  new DataView(seSparse.buffer).setBigUint64(0, 0xcafebaben, true);
  new DataView(seSparse.buffer).setBigUint64(16, 4096n, true);
  const cowd = new Uint8Array(4096);
  cowd.set(new TextEncoder().encode('COWD'));
  new DataView(cowd.buffer).setUint32(12, 4096, true);
  test.each([
    { kind: 'seSparse', bytes: seSparse },
    { kind: 'vmfsSparse', bytes: cowd },
  ])('$kind', async ({ kind, bytes }) => {
    expect(vmdk.probe({ size: bytes.length, head: bytes, tail: bytes })).toBe(true);
    const { info, findings } = await examineMemory(bytes);
    expect(info).toMatchObject({ subformat: kind, virtualSize: 2 ** 21 });
    expect(findings.map((finding) => finding.code)).toEqual(['unsupported-subformat']);
    await expect(openMemory(bytes)).rejects.toThrow(kind);
    expect(await refusal(async () => vmdk.check?.(memorySource(bytes)))).toBe('unsupported');
  });
});

async function checked(bytes: Uint8Array): Promise<unknown> {
  const report = await vmdk.check?.(memorySource(bytes));
  return { corruptions: report?.corruptions, codes: report?.findings.map((finding) => finding.code) };
}

describe('check accounts for every grain', () => {
  test.each([
    { name: 'nothing wrong', bytes: sparse, corruptions: 0, codes: [] },
    { name: 'nothing wrong with a stream', bytes: stream, corruptions: 0, codes: [] },
    {
      name: 'two entries with one grain',
      bytes: edited(sparse, (view) => {
        for (const at of [table, view.getUint32(redundant, true) * 512])
          view.setUint32(at + 4, view.getUint32(at, true), true);
      }),
      corruptions: 1,
      codes: ['shared-grains'],
    },
    {
      name: 'a redundant table that differs',
      bytes: edited(sparse, (view) => view.setUint32(view.getUint32(redundant, true) * 512 + 40, 5, true)),
      corruptions: 1,
      codes: ['redundant-directory-differs'],
    },
    {
      name: 'grains cut off',
      bytes: sparse.subarray(0, sparse.length - 2 * GRAIN),
      corruptions: 2,
      codes: ['truncated'],
    },
  ])('$name', async ({ bytes, corruptions, codes }) => {
    expect(await checked(bytes)).toEqual({ corruptions, codes });
  });
});
