import { describe, expect, test } from 'vitest';
import { memorySource } from '../../bytes/byte-source.ts';
import { portableCodecs } from '../../bytes/portable-codecs.ts';
import type { DiskImage } from '../../image/disk-image.ts';
import { denyReferences } from '../../image/reference.ts';
import { encodeHeader } from './header.ts';
import { encodeFeatureNameTable } from './header-extension.ts';
import { qcow2 } from './qcow2.ts';

const CLUSTER = 512;
const L1 = 512;
const L2 = 1024;
const DATA = 1536;
const REFCOUNT_TABLE = 2048;
const COPIED = 1n << 63n;

/** A version 3 image with clusters of 512 bytes whose first guest cluster holds 7s. */
function handmade(): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(3072);
  const header = encodeHeader({
    version: 3,
    backingFileOffset: 0,
    backingFileSize: 0,
    clusterBits: 9,
    virtualSize: 1024,
    cryptMethod: 0,
    l1Size: 1,
    l1TableOffset: L1,
    refcountTableOffset: REFCOUNT_TABLE,
    refcountTableClusters: 1,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatibleFeatures: 0n,
    compatibleFeatures: 0n,
    autoclearFeatures: 0n,
    refcountOrder: 4,
    headerLength: 112,
    compressionType: 0,
  });
  bytes.set(header);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(L1, COPIED | BigInt(L2));
  view.setBigUint64(L2, COPIED | BigInt(DATA));
  bytes.fill(7, DATA, DATA + CLUSTER);
  return { bytes, view };
}

async function open(bytes: Uint8Array): Promise<DiskImage> {
  const image = await qcow2.open?.(memorySource(bytes), { codecs: portableCodecs, references: denyReferences });
  if (image === undefined) throw new Error('qcow2 can be opened');
  return image;
}

async function readFirst(bytes: Uint8Array): Promise<Uint8Array> {
  const into = new Uint8Array(1024);
  await (await open(bytes)).read(0, into);
  return into;
}

async function findingCodes(bytes: Uint8Array): Promise<string[]> {
  return (await qcow2.examine(memorySource(bytes))).findings.map((finding) => finding.code);
}

type Damage = (view: DataView, bytes: Uint8Array) => void;

const REFUSED: readonly (readonly [string, Damage, string, string])[] = [
  ['unknown bit', (view) => view.setBigUint64(72, 1n << 40n), 'unsupported', 'unknown-feature'],
  ['AES', (view) => view.setUint32(32, 1), 'unsupported', 'encrypted'],
  ['LUKS', (view) => view.setUint32(32, 2), 'unsupported', 'encrypted'],
  ['method 9', (view) => view.setUint32(32, 9), 'unsupported', 'encrypted'],
  ['zstd without its bit', (view) => view.setUint8(104, 1), 'corrupt', 'corrupt-table'],
  ['compression bit without type', (view) => view.setBigUint64(72, 8n), 'corrupt', 'corrupt-table'],
  [
    'compression type 2',
    (view) => (view.setBigUint64(72, 8n), view.setUint8(104, 2)),
    'unsupported',
    'unknown-feature',
  ],
  ['subclusters of 16 bytes', (view) => view.setBigUint64(72, 16n), 'corrupt', 'corrupt-table'],
  ['unnamed data file', (view) => view.setBigUint64(72, 4n), 'corrupt', 'corrupt-table'],
  ['L1 table of 32 GiB', (view) => view.setUint32(36, 0xffffffff), 'corrupt', 'size-bomb-table'],
  ['L1 table beyond the file', (view) => view.setBigUint64(40, 1n << 40n), 'truncated', 'table-outside-file'],
  ['unaligned L1 table', (view) => view.setBigUint64(40, 520n), 'corrupt', 'corrupt-table'],
  ['L1 table in the header', (view) => view.setBigUint64(40, 0n), 'corrupt', 'corrupt-table'],
  ['L1 table too short', (view) => view.setBigUint64(24, 1n << 30n), 'corrupt', 'corrupt-table'],
  ['refcount table of 2 TiB', (view) => view.setUint32(56, 0xffffffff), 'corrupt', 'size-bomb-table'],
  ['refcount table beyond the file', (view) => view.setBigUint64(48, 1n << 30n), 'truncated', 'table-outside-file'],
  ['no refcount table', (view) => view.setUint32(56, 0), 'corrupt', 'corrupt-table'],
  ['too many snapshots', (view) => view.setUint32(60, 65537), 'corrupt', 'corrupt-table'],
  [
    'snapshots beyond the file',
    (view) => (view.setUint32(60, 1), view.setBigUint64(64, 1n << 20n)),
    'truncated',
    'truncated',
  ],
  ['long backing name', (view) => (view.setBigUint64(8, 200n), view.setUint32(16, 1024)), 'corrupt', 'corrupt-table'],
  ['backing name outside', (view) => (view.setBigUint64(8, 500n), view.setUint32(16, 20)), 'corrupt', 'corrupt-table'],
  [
    'endless extension',
    (view) => (view.setUint32(112, 5), view.setUint32(116, 0xffffffff)),
    'corrupt',
    'corrupt-table',
  ],
];

describe('an image that cannot be read completely is refused, and examined all the same', () => {
  test.each(REFUSED)('%s', async (_name, damage, errorCode, findingCode) => {
    const { bytes, view } = handmade();
    damage(view, bytes);
    await expect(open(bytes)).rejects.toMatchObject({ code: errorCode, format: 'qcow2' });
    expect(await findingCodes(bytes)).toContain(findingCode);
  });

  test.each<readonly [string, Damage, string]>([
    ['another magic', (view) => view.setUint32(0, 1), 'wrong_format'],
    ['version 1, which is another format', (view) => view.setUint32(4, 1), 'wrong_format'],
    ['version 4', (view) => view.setUint32(4, 4), 'unsupported'],
    ['clusters of 256 bytes', (view) => view.setUint32(20, 8), 'corrupt'],
    ['clusters of 4 MiB', (view) => view.setUint32(20, 22), 'corrupt'],
    ['clusters of 2^64 bytes', (view) => view.setUint32(20, 64), 'corrupt'],
    ['a disk above 2^53 bytes', (view) => view.setBigUint64(24, 1n << 60n), 'corrupt'],
    ['refcounts of 128 bits', (view) => view.setUint32(96, 7), 'corrupt'],
    ['a short header', (view) => view.setUint32(100, 100), 'corrupt'],
    ['an unaligned header length', (view) => view.setUint32(100, 109), 'corrupt'],
    ['a header longer than a cluster', (view) => view.setUint32(100, 520), 'corrupt'],
  ])('%s leaves nothing to examine', async (_name, damage, errorCode) => {
    const { bytes, view } = handmade();
    damage(view, bytes);
    await expect(open(bytes)).rejects.toMatchObject({ code: errorCode });
    await expect(qcow2.examine(memorySource(bytes))).rejects.toMatchObject({ code: errorCode });
  });
});

describe('bad entries are found when they are read', () => {
  const damages: readonly (readonly [string, Damage, string])[] = [
    ['L1 entry with reserved bits', (view) => view.setBigUint64(L1, COPIED | (1n << 60n) | BigInt(L2)), 'corrupt'],
    ['unaligned L1 entry', (view) => view.setBigUint64(L1, COPIED | 1032n), 'corrupt'],
    ['L2 table beyond the file', (view) => view.setBigUint64(L1, COPIED | 3072n), 'truncated'],
    ['L2 entry with reserved bits', (view) => view.setBigUint64(L2, COPIED | (1n << 57n) | BigInt(DATA)), 'corrupt'],
    ['L2 entry with reserved low bits', (view) => view.setBigUint64(L2, COPIED | 2n | BigInt(DATA)), 'corrupt'],
    ['L2 entry that points at the header', (view) => view.setBigUint64(L2, COPIED), 'corrupt'],
    ['cluster beyond the file', (view) => view.setBigUint64(L2, COPIED | 3072n), 'truncated'],
    ['cluster at 2^55', (view) => view.setBigUint64(L2, COPIED | (1n << 55n)), 'truncated'],
    ['compressed cluster beyond the file', (view) => view.setBigUint64(L2, (1n << 62n) | 3072n), 'truncated'],
    ['compressed cluster with reserved bits', (view) => view.setBigUint64(L2, (1n << 62n) | (1n << 57n)), 'corrupt'],
    ['compressed cluster of garbage', (view) => view.setBigUint64(L2, (1n << 62n) | BigInt(DATA)), 'corrupt'],
  ];
  test.each(damages)('%s', async (_name, damage, code) => {
    const { bytes, view } = handmade();
    damage(view, bytes);
    await expect(readFirst(bytes)).rejects.toMatchObject({ code });
  });

  test('the zero flag does not exist in version 2', async () => {
    const { bytes, view } = handmade();
    view.setBigUint64(L2, 1n);
    expect((await readFirst(bytes))[0]).toBe(0);
    view.setUint32(4, 2);
    bytes.fill(0, 72, 120);
    await expect(readFirst(bytes)).rejects.toMatchObject({ code: 'corrupt' });
  });
});

describe('an image that QEMU would open opens', () => {
  test('plain', async () => {
    const { bytes } = handmade();
    const guest = await readFirst(bytes);
    expect([guest[0], guest[511], guest[512]]).toEqual([7, 7, 0]);
    expect(await findingCodes(bytes)).toEqual([]);
  });

  test.each([
    ['dirty', 1n],
    ['corrupt-flag', 2n],
  ])('%s, and it says so', async (code, bit) => {
    const { bytes, view } = handmade();
    view.setBigUint64(72, bit);
    expect((await readFirst(bytes))[0]).toBe(7);
    expect(await findingCodes(bytes)).toEqual([code]);
    const { info } = await open(bytes);
    expect([info.dirty, info.corrupt]).toEqual([bit === 1n, bit === 2n]);
  });

  test('an unknown header extension is reported', async () => {
    const { bytes, view } = handmade();
    view.setUint32(112, 0x12345678);
    view.setUint32(116, 3);
    expect((await readFirst(bytes))[0]).toBe(7);
    expect(await findingCodes(bytes)).toEqual(['unknown-header-extension']);
  });
});

describe('tables that lie over each other are found by examine', () => {
  test.each<readonly [string, Damage]>([
    ['L1 table and refcount table', (view) => view.setBigUint64(48, BigInt(L1))],
    ['L2 table and refcount table', (view) => view.setBigUint64(L1, COPIED | BigInt(REFCOUNT_TABLE))],
  ])('%s', async (_name, damage) => {
    const { bytes, view } = handmade();
    damage(view, bytes);
    expect(await findingCodes(bytes)).toContain('overlapping-tables');
  });
});

test('an unknown feature is refused by its name in the feature name table, else by its number', async () => {
  const { bytes, view } = handmade();
  view.setBigUint64(72, 1n << 40n);
  await expect(open(bytes)).rejects.toThrow('number 40');
  bytes.set(encodeFeatureNameTable([{ kind: 0, bit: 40, name: 'quantum clusters' }]), 112);
  await expect(open(bytes)).rejects.toThrow('"quantum clusters" (bit 40)');
});

test('reads outside the disk are out of bounds', async () => {
  const image = await open(handmade().bytes);
  await expect(image.read(1000, new Uint8Array(100))).rejects.toMatchObject({ code: 'out_of_bounds' });
  await expect(image.read(-1, new Uint8Array(1))).rejects.toMatchObject({ code: 'out_of_bounds' });
});

test('a cancelled read is aborted', async () => {
  const image = await open(handmade().bytes);
  const aborted = image.read(0, new Uint8Array(10), AbortSignal.abort());
  await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
});
