/** Hostile files of old formats with tables of places. */
import { deflateSync } from 'node:zlib';
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { Field, SparseFile } from './sparse-file.ts';
import { block, GIB, KIB, MIB, table, TIB } from './sparse-file.ts';

const SECTOR = 512;

/** A map of L1 and L2 tables with one number for all entries of each. */
function qed(size: number, l1Entry: (index: number) => number, more: SparseFile['parts'] = []): SparseFile {
  const clusterSize = 64 * KIB;
  const header = block(
    64,
    'little',
    [
      [4, 4, clusterSize],
      [8, 4, 16],
      [12, 4, 1],
      [40, 8, MIB],
      [48, 8, 64 * TIB],
    ],
    [[0, 'QED\0']],
  );
  // 131072 entries of tables of 131072 clusters: 1 PiB; the disk is smaller.
  return { size, parts: [{ at: 0, bytes: header }, { at: MIB, bytes: table(8192, 'le64', l1Entry) }, ...more] };
}

const qedOf = (fields: readonly Field[]): SparseFile => ({
  size: 8 * GIB,
  parts: [{ at: 0, bytes: block(64, 'little', fields, [[0, 'QED\0']]) }],
});

/** QED files. */
export function hostileQed(): readonly HostileFile[] {
  const full = table(131_072, 'le64', () => 8 * MIB);
  return [
    ...named('qed', {
      'largest-tables': qedOf([
        [4, 4, 64 * MIB],
        [8, 4, 16],
        [12, 4, 1],
        [40, 8, 64 * MIB],
        [48, 8, 2n ** 62n],
      ]),
      'tables-in-holes': qed(64 * GIB, (index) => 16 * MIB + index * MIB),
      'one-table-for-all': qed(64 * MIB, () => 4 * MIB, [{ at: 4 * MIB, bytes: full }]),
      'the-l1-as-l2': qed(64 * MIB, () => MIB),
    }),
    {
      name: 'qed-backing-file',
      driver: 'qed',
      namesCanary: true,
      file: {
        size: 8 * MIB,
        parts: [
          {
            at: 0,
            bytes: block(
              128,
              'little',
              [
                [4, 4, 65_536],
                [8, 4, 4],
                [12, 4, 1],
                [16, 8, 5],
                [40, 8, 65_536],
                [48, 8, MIB],
                [56, 4, 64],
                [60, 4, 6],
              ],
              [
                [0, 'QED\0'],
                [64, 'canary'],
              ],
            ),
          },
        ],
      },
    },
  ];
}

const parallelsOf = (
  disk: {
    readonly entries: number;
    readonly sectors: number;
    readonly blockSectors?: number;
    readonly extension?: number;
  },
  bat: Buffer | undefined,
  size: number,
): SparseFile => ({
  size,
  parts: [
    {
      at: 0,
      bytes: block(
        64,
        'little',
        [
          [16, 4, 2],
          [20, 4, 16],
          [24, 4, 1024],
          [28, 4, disk.blockSectors ?? 2048],
          [32, 4, disk.entries],
          [36, 8, disk.sectors],
          [48, 4, 8192],
          [56, 8, disk.extension ?? 0],
        ],
        [[0, 'WithouFreSpacExt']],
      ),
    },
    ...(bat === undefined ? [] : [{ at: 64, bytes: bat }]),
  ],
});

/** Parallels files. */
export function hostileParallels(): readonly HostileFile[] {
  const count = 2 ** 18;
  const features = Buffer.concat([
    block(24, 'little', [[0, 8, 0xab234cef23dcea87n]]),
    ...Array.from({ length: 10_000 }, () => block(24, 'little', [[0, 8, 1]])),
  ]);
  const extended = parallelsOf({ entries: 16, sectors: 32_768, extension: 16_384 }, undefined, 64 * MIB);
  return named('parallels', {
    'table-of-16-gib': parallelsOf({ entries: 0xffffffff, sectors: 2 ** 43 }, undefined, 64 * GIB),
    'largest-table-in-holes': parallelsOf({ entries: 2 ** 24, sectors: 2 ** 35 }, undefined, 64 * GIB),
    'all-blocks-one': parallelsOf(
      { entries: count, sectors: count * 2048 },
      table(count, 'le32', () => 8),
      16 * MIB,
    ),
    'blocks-in-holes': parallelsOf(
      { entries: count, sectors: count * 2048 },
      table(count, 'le32', (index) => count + 16 - index),
      (count + 32) * MIB,
    ),
    'blocks-of-2-tib': parallelsOf({ entries: 16, sectors: 2 ** 36, blockSectors: 0xffffffff }, undefined, 64 * MIB),
    'many-features': { ...extended, parts: [...extended.parts, { at: 16_384 * SECTOR, bytes: features }] },
  });
}

const qcowOf = (
  disk: { readonly size: number; readonly clusterBits?: number; readonly l2Bits?: number; readonly l1At?: number },
  more: SparseFile['parts'],
  size: number,
  fields: readonly Field[] = [],
): SparseFile => ({
  size,
  parts: [
    {
      at: 0,
      bytes: block(48, 'big', [
        [0, 4, 0x514649fb],
        [4, 4, 1],
        [24, 8, disk.size],
        [32, 1, disk.clusterBits ?? 12],
        [33, 1, disk.l2Bits ?? 9],
        [40, 8, disk.l1At ?? 4096],
        ...fields,
      ]),
    },
    ...more,
  ],
});

const qcowL1 = (count: number, value: (index: number) => number): SparseFile['parts'][number] => ({
  at: 4096,
  bytes: table(count, 'be64', value),
});

/** QCOW files. */
export function hostileQcow(): readonly HostileFile[] {
  const packed = deflateSync(new Uint8Array(65_536).fill(0x55), { level: 9 }).subarray(2, -4);
  const bomb = 2 ** 63 + 2 ** 47 * packed.length + 32 * MIB;
  return [
    ...named('qcow', {
      'largest-l1-in-holes': qcowOf({ size: 8 * TIB, l1At: GIB }, [], 8 * GIB),
      'l1-beyond-the-limit': qcowOf({ size: 2 ** 62, clusterBits: 9, l2Bits: 6 }, [], 8 * GIB),
      'tables-in-holes': qcowOf(
        { size: 262_144 * 2 * MIB },
        [qcowL1(262_144, (index) => 8 * MIB + index * 4096)],
        64 * GIB,
      ),
      'one-table-for-all': qcowOf(
        { size: 262_144 * 2 * MIB },
        [
          qcowL1(262_144, () => 8 * MIB),
          { at: 8 * MIB, bytes: table(512, 'be64', (index) => (index % 2 === 0 ? 16 * MIB : 0)) },
        ],
        64 * MIB,
      ),
      'clusters-of-2-gib': qcowOf({ size: 2 ** 40, clusterBits: 31, l2Bits: 13 }, [], 64 * MIB),
      'compressed-bombs': qcowOf(
        { size: 8192 * 65_536 * 16, clusterBits: 16, l2Bits: 13 },
        [
          qcowL1(16, (index) => 8 * MIB + index * 65_536),
          { at: 8 * MIB, bytes: table(16 * 8192, 'be64', () => bomb) },
          { at: 32 * MIB, bytes: packed },
        ],
        64 * MIB,
      ),
    }),
    {
      name: 'qcow-backing-file',
      driver: 'qcow',
      namesCanary: true,
      file: qcowOf({ size: MIB }, [{ at: 1024, bytes: Buffer.from('canary') }], MIB, [
        [8, 8, 1024],
        [16, 4, 6],
      ]),
    },
  ];
}
