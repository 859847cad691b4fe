import { deflateRawSync } from 'node:zlib';
import type { HostileFile } from './hostile-file.ts';
import type { Field, SparseFile } from './sparse-file.ts';
import { block, GIB, KIB, MIB, table, TIB } from './sparse-file.ts';

interface Shape {
  readonly clusterBits?: number;
  readonly virtualSize: number;
  readonly l1Entries: number;
  readonly l1At: number;
  readonly refcountAt?: number;
  readonly refcountClusters?: number;
  readonly snapshots?: readonly [count: number, at: number];
  readonly more?: readonly Field[];
  readonly extensions?: Buffer;
}

/** The header of version 3. */
function header(shape: Shape): Buffer {
  const { clusterBits = 16, snapshots = [0, 0], extensions = Buffer.alloc(0) } = shape;
  const head = block(104, 'big', [
    [0, 4, 0x514649fb],
    [4, 4, 3],
    [20, 4, clusterBits],
    [24, 8, shape.virtualSize],
    [36, 4, shape.l1Entries],
    [40, 8, shape.l1At],
    [48, 8, shape.refcountAt ?? 2 ** clusterBits],
    [56, 4, shape.refcountClusters ?? 1],
    [60, 4, snapshots[0]],
    [64, 8, snapshots[1]],
    [96, 4, 4],
    [100, 4, 104],
    ...(shape.more ?? []),
  ]);
  return Buffer.concat([head, extensions]);
}

function extension(type: number, content: Buffer): Buffer {
  const padding = Buffer.alloc((8 - (content.length % 8)) % 8);
  return Buffer.concat([
    block(8, 'big', [
      [0, 4, type],
      [4, 4, content.length],
    ]),
    content,
    padding,
  ]);
}

/** Entries that say: in use once. */
const COPIED = 2 ** 63;
const CLUSTER = 64 * KIB;

const file = (size: number, ...parts: SparseFile['parts']): SparseFile => ({ size, parts });

function compressedBomb(): SparseFile {
  const bomb = deflateRawSync(new Uint8Array(2 * MIB).fill(0x55), { level: 9, windowBits: 12 });
  const bits = 21;
  const cluster = 2 ** bits;
  const at = 5 * cluster;
  const shift = BigInt(62 - (bits - 8));
  const sectors = BigInt(Math.ceil(bomb.length / 512));
  const entry = (1n << 62n) | (sectors << shift) | BigInt(at);
  const entries = Buffer.alloc(512 * KIB);
  for (let i = 0; i < entries.length; i += 8) entries.writeBigUInt64BE(entry, i);
  const shape = { clusterBits: bits, virtualSize: (entries.length / 8) * cluster, l1Entries: 1, l1At: 3 * cluster };
  return file(
    6 * cluster,
    { at: 0, bytes: header(shape) },
    { at: 3 * cluster, bytes: table(1, 'be64', () => COPIED + 4 * cluster) },
    { at: 4 * cluster, bytes: entries },
    { at, bytes: bomb },
  );
}

const snapshotEntry = (index: number): Buffer =>
  Buffer.concat([
    block(40, 'big', [
      [0, 8, 4 * MIB],
      [8, 4, 4 * MIB],
      [12, 2, 4],
      [14, 2, 4],
      [36, 4, 24],
    ]),
    block(24, 'big', [[8, 8, 64 * GIB]]),
    Buffer.from(`${index}`.padStart(4, '0') + 'name'),
  ]);

/** Snapshots without end, each with the largest L1 table there may be, in holes. */
function manySnapshots(): SparseFile {
  const count = 8192;
  const entries = Buffer.concat(Array.from({ length: count }, (_, index) => snapshotEntry(index)));
  const shape = { virtualSize: 64 * GIB, l1Entries: 128, l1At: 3 * CLUSTER, snapshots: [count, 8 * CLUSTER] } as const;
  return file(64 * MIB, { at: 0, bytes: header(shape) }, { at: 8 * CLUSTER, bytes: entries });
}

const bitmapEntry = (index: number): Buffer =>
  Buffer.concat([
    block(24, 'big', [
      [0, 8, 64 * MIB],
      [8, 4, 8 * MIB],
      [12, 4, 2],
      [16, 1, 1],
      [17, 1, 9],
      [18, 2, 8],
    ]),
    Buffer.from(`${index}`.padStart(8, '0')),
  ]);

function manyBitmaps(): SparseFile {
  const count = 16_384;
  const directory = Buffer.concat(Array.from({ length: count }, (_, index) => bitmapEntry(index)));
  const bitmaps = block(24, 'big', [
    [0, 4, count],
    [8, 8, directory.length],
    [16, 8, 8 * CLUSTER],
  ]);
  const shape = {
    virtualSize: 64 * GIB,
    l1Entries: 128,
    l1At: 3 * CLUSTER,
    more: [[88, 8, 1]] as const,
    extensions: extension(0x23852875, bitmaps),
  };
  return file(256 * MIB, { at: 0, bytes: header(shape) }, { at: 8 * CLUSTER, bytes: directory });
}

/** L2 tables that all say the same cluster: many guest bytes in a small file. */
function oneClusterForAll(l2Tables: number, l1Entry: (index: number) => number): SparseFile {
  const entries = table(8192, 'be64', () => COPIED + 4 * CLUSTER);
  const count = 2048;
  const shape = { virtualSize: count * 512 * MIB, l1Entries: count, l1At: 3 * CLUSTER };
  const tables = Array.from({ length: l2Tables }, (_, i) => ({ at: (5 + i) * CLUSTER, bytes: entries }));
  return file(
    (5 + l2Tables) * CLUSTER,
    { at: 0, bytes: header(shape) },
    { at: 3 * CLUSTER, bytes: table(count, 'be64', l1Entry) },
    { at: 4 * CLUSTER, bytes: Buffer.alloc(CLUSTER, 0x55) },
    ...tables,
  );
}

const inHoles = (index: number): number => COPIED + (16 + index) * CLUSTER;

/** qcow2 files. */
export function hostileQcow2(): readonly HostileFile[] {
  const cases: Readonly<Record<string, SparseFile>> = {
    '64-tib-of-tables-in-holes': file(
      9 * GIB,
      { at: 0, bytes: header({ virtualSize: 64 * TIB, l1Entries: 131_072, l1At: 3 * CLUSTER, refcountClusters: 2 }) },
      { at: 3 * CLUSTER, bytes: table(131_072, 'be64', (index) => COPIED + GIB + index * CLUSTER) },
    ),
    'largest-l1-in-holes': file(64 * GIB, {
      at: 0,
      bytes: header({ clusterBits: 9, virtualSize: 128 * GIB, l1Entries: 4 * MIB, l1At: GIB }),
    }),
    'l1-beyond-the-limit': file(GIB, {
      at: 0,
      bytes: header({ clusterBits: 9, virtualSize: 2 ** 62, l1Entries: 0xffffffff, l1At: 64 * KIB }),
    }),
    'virtual-size-of-8-eib': file(MIB, {
      at: 0,
      bytes: header({ clusterBits: 21, virtualSize: 2 ** 63 - 1024, l1Entries: 16, l1At: 512 * KIB }),
    }),
    'all-l1-entries-one-table': oneClusterForAll(1, () => COPIED + 5 * CLUSTER),
    'all-l1-entries-the-header': oneClusterForAll(1, () => COPIED),
    'l1-entries-point-at-the-l1': oneClusterForAll(1, () => COPIED + 3 * CLUSTER),
    'all-clusters-one': oneClusterForAll(32, (index) => (index < 32 ? COPIED + (5 + index) * CLUSTER : 0)),
    'small-clusters-one-table': file(
      64 * MIB,
      { at: 0, bytes: header({ clusterBits: 9, virtualSize: 8 * GIB, l1Entries: 262_144, l1At: 4096 }) },
      { at: 4096, bytes: table(262_144, 'be64', () => COPIED + 48 * MIB) },
      { at: 48 * MIB, bytes: table(64, 'be64', (index) => COPIED + 49 * MIB + index * 1024) },
    ),
    'refcount-table-all-one-block': file(
      64 * MIB,
      {
        at: 0,
        bytes: header({
          virtualSize: GIB,
          l1Entries: 2,
          l1At: 3 * CLUSTER,
          refcountAt: 16 * MIB,
          refcountClusters: 128,
        }),
      },
      { at: 16 * MIB, bytes: table(262_144, 'be64', () => 8 * CLUSTER) },
      { at: 8 * CLUSTER, bytes: Buffer.alloc(CLUSTER, 0xff) },
    ),
    'shared-refcount-blocks-of-a-large-file': file(
      8 * TIB,
      {
        at: 0,
        bytes: header({
          virtualSize: GIB,
          l1Entries: 2,
          l1At: 3 * CLUSTER,
          refcountAt: 16 * MIB,
          refcountClusters: 128,
        }),
      },
      { at: 16 * MIB, bytes: table(262_144, 'be64', () => 8 * CLUSTER) },
      { at: 8 * CLUSTER, bytes: Buffer.alloc(CLUSTER, 0xff) },
    ),
    'one-cluster-at-the-far-end': file(
      8 * TIB,
      { at: 0, bytes: header({ clusterBits: 9, virtualSize: MIB, l1Entries: 32, l1At: 4096 }) },
      { at: 4096, bytes: table(1, 'be64', () => COPIED + 8192) },
      { at: 8192, bytes: table(1, 'be64', () => COPIED + 8 * TIB - 2048) },
    ),
    'clusters-far-apart': file(
      8 * TIB,
      { at: 0, bytes: header({ clusterBits: 9, virtualSize: MIB, l1Entries: 512, l1At: 4096 }) },
      { at: 4096, bytes: table(64, 'be64', (index) => COPIED + 16_384 + index * 2048) },
      ...Array.from({ length: 64 }, (_, i) => ({
        at: 16_384 + i * 2048,
        bytes: table(64, 'be64', (index) => COPIED + (1 + i * 64 + index) * GIB),
      })),
    ),
    'clusters-in-holes': file(
      600 * GIB,
      { at: 0, bytes: header({ clusterBits: 21, virtualSize: 512 * GIB, l1Entries: 1, l1At: 6 * MIB }) },
      { at: 6 * MIB, bytes: table(1, 'be64', () => COPIED + 8 * MIB) },
      { at: 8 * MIB, bytes: table(262_144, 'be64', (index) => COPIED + 16 * MIB + index * 2 * MIB) },
    ),
    'snapshots-that-share-an-l1': file(
      64 * MIB,
      {
        at: 0,
        bytes: header({
          virtualSize: 64 * GIB,
          l1Entries: 128,
          l1At: 3 * CLUSTER,
          snapshots: [8192, 8 * CLUSTER],
        }),
      },
      { at: 8 * CLUSTER, bytes: Buffer.concat(Array.from({ length: 8192 }, (_, index) => snapshotEntry(index))) },
      { at: 4 * MIB, bytes: table(131_072, 'be64', (index) => COPIED + 32 * MIB + (index % 8) * CLUSTER) },
      { at: 32 * MIB, bytes: table(8192, 'be64', (index) => COPIED + 40 * MIB + (index % 64) * CLUSTER) },
    ),
    'refcount-table-in-holes': file(64 * GIB, {
      at: 0,
      bytes: header({ virtualSize: GIB, l1Entries: 2, l1At: 3 * CLUSTER, refcountAt: GIB, refcountClusters: 128 }),
    }),
    'refcount-blocks-in-holes': file(
      TIB,
      {
        at: 0,
        bytes: header({
          clusterBits: 21,
          virtualSize: GIB,
          l1Entries: 1,
          l1At: 6 * MIB,
          refcountAt: 16 * MIB,
          refcountClusters: 1,
        }),
      },
      { at: 16 * MIB, bytes: table(262_144, 'be64', (index) => 32 * MIB + index * 2 * MIB) },
    ),
    'refcount-table-beyond-the-limit': file(MIB, {
      at: 0,
      bytes: header({ virtualSize: GIB, l1Entries: 2, l1At: 3 * CLUSTER, refcountClusters: 0xffffffff }),
    }),
    'many-snapshots': manySnapshots(),
    'more-snapshots-than-can-be': file(MIB, {
      at: 0,
      bytes: header({ virtualSize: GIB, l1Entries: 2, l1At: 3 * CLUSTER, snapshots: [0xffffffff, 4 * CLUSTER] }),
    }),
    'many-bitmaps': manyBitmaps(),
    'compressed-clusters-of-zeros': compressedBomb(),
    'many-header-extensions': file(4 * MIB, {
      at: 0,
      bytes: header({
        clusterBits: 21,
        virtualSize: GIB,
        l1Entries: 1,
        l1At: 2 * MIB,
        extensions: Buffer.concat(Array.from({ length: 200_000 }, () => extension(0x12345678, Buffer.alloc(0)))),
      }),
    }),
    'header-extension-of-4-gib': file(MIB, {
      at: 0,
      bytes: header({
        virtualSize: GIB,
        l1Entries: 2,
        l1At: 3 * CLUSTER,
        extensions: block(8, 'big', [
          [0, 4, 0x6803f857],
          [4, 4, 0xfffffff8],
        ]),
      }),
    }),
    'long-feature-names': file(4 * MIB, {
      at: 0,
      bytes: header({
        clusterBits: 21,
        virtualSize: GIB,
        l1Entries: 1,
        l1At: 2 * MIB,
        more: [[72, 8, 2n ** 63n]],
        extensions: extension(0x6803f857, Buffer.alloc(48 * 40_000, 0x41)),
      }),
    }),
    'encrypted-with-a-huge-header': file(MIB, {
      at: 0,
      bytes: header({
        virtualSize: GIB,
        l1Entries: 2,
        l1At: 3 * CLUSTER,
        more: [[32, 4, 2]],
        extensions: extension(
          0x0537be77,
          block(16, 'big', [
            [0, 8, CLUSTER],
            [8, 8, 2 ** 52],
          ]),
        ),
      }),
    }),
    'l2-tables-in-holes-of-large-clusters': file(
      600 * GIB,
      { at: 0, bytes: header({ clusterBits: 21, virtualSize: 2 ** 57, l1Entries: 262_144, l1At: 6 * MIB }) },
      { at: 6 * MIB, bytes: table(262_144, 'be64', (index) => COPIED + GIB + index * 2 * MIB) },
    ),
    'extended-l2-in-holes': file(
      9 * GIB,
      {
        at: 0,
        bytes: header({
          virtualSize: 16 * TIB,
          l1Entries: 65_536,
          l1At: 3 * CLUSTER,
          more: [[72, 8, 16]],
        }),
      },
      { at: 3 * CLUSTER, bytes: table(65_536, 'be64', inHoles) },
    ),
  };
  const canary = Buffer.from('canary');
  const named = (name: string, extra: Partial<Shape>, tail: Buffer): HostileFile => ({
    name: `qcow2-${name}`,
    driver: 'qcow2',
    namesCanary: true,
    file: file(
      MIB,
      { at: 0, bytes: header({ virtualSize: GIB, l1Entries: 2, l1At: 3 * CLUSTER, ...extra }) },
      { at: 4096, bytes: tail },
    ),
  });
  return [
    ...Object.entries(cases).map(([name, made]): HostileFile => ({
      name: `qcow2-${name}`,
      driver: 'qcow2',
      file: made,
    })),
    named(
      'backing-file',
      {
        more: [
          [8, 8, 4096],
          [16, 4, canary.length],
        ],
        extensions: extension(0xe2792aca, Buffer.from('raw')),
      },
      canary,
    ),
    named('data-file', { more: [[72, 8, 4]], extensions: extension(0x44415441, canary) }, Buffer.alloc(0)),
  ];
}
