/** Hostile files of VMware. */
import { deflateSync } from 'node:zlib';
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { SparseFile } from './sparse-file.ts';
import { block, dense, GIB, KIB, MIB, table } from './sparse-file.ts';

const SECTOR = 512;

interface Kdmv {
  readonly capacity: number;
  readonly grain?: number;
  readonly perTable?: number;
  readonly directory?: number | bigint;
  readonly descriptor?: readonly [at: number, sectors: number];
  readonly flags?: number;
}

/** A header of a sparse extent; numbers in sectors. */
function kdmv({
  capacity,
  grain = 128,
  perTable = 512,
  directory = 2048,
  descriptor = [1, 20],
  flags = 1,
}: Kdmv): Buffer {
  const compressed = (flags & 0x10000) !== 0;
  return block(
    SECTOR,
    'little',
    [
      [4, 4, compressed ? 3 : 1],
      [8, 4, flags],
      [12, 8, capacity],
      [20, 8, grain],
      [28, 8, descriptor[0]],
      [36, 8, descriptor[1]],
      [44, 4, perTable],
      [56, 8, directory],
      [64, 8, 128],
      [77, 2, compressed ? 1 : 0],
    ],
    [
      [0, 'KDMV'],
      [73, '\n \r\n'],
    ],
  );
}

const descriptorText = (type: string, extents: string): Buffer =>
  Buffer.from(
    `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="${type}"\n${extents}\nddb.adapterType = "ide"\n`,
  );

const sparseText = (sectors: number): Buffer => descriptorText('monolithicSparse', `RW ${sectors} SPARSE "x.vmdk"`);

function grainTables(entry: (index: number) => number, entries: Buffer): SparseFile {
  const tables = 65_536;
  const capacity = tables * 512 * 128;
  return {
    size: 64 * MIB,
    parts: [
      { at: 0, bytes: kdmv({ capacity }) },
      { at: SECTOR, bytes: sparseText(capacity) },
      { at: 2048 * SECTOR, bytes: table(tables, 'le32', entry) },
      { at: 4096 * SECTOR, bytes: entries },
      { at: 4224 * SECTOR, bytes: Buffer.alloc(64 * KIB, 0x55) },
    ],
  };
}

/** A stream whose grains grow a thousandfold. */
function streamOfBombs(): SparseFile {
  const grain = 4096;
  const packed = deflateSync(new Uint8Array(grain * SECTOR).fill(0x55), { level: 9 });
  const marker = Buffer.concat([
    block(12, 'little', [
      [0, 8, 0],
      [8, 4, packed.length],
    ]),
    packed,
  ]);
  const tables = 256;
  const capacity = tables * 512 * grain;
  return {
    size: 64 * MIB,
    parts: [
      { at: 0, bytes: kdmv({ capacity, grain, flags: 0x30001 }) },
      { at: SECTOR, bytes: descriptorText('streamOptimized', `RW ${capacity} SPARSE "x.vmdk"`) },
      { at: 128 * SECTOR, bytes: marker },
      { at: 2048 * SECTOR, bytes: table(tables, 'le32', () => 4096) },
      { at: 4096 * SECTOR, bytes: table(512, 'le32', () => 128) },
    ],
  };
}

/** VMDK files. */
export function hostileVmdk(): readonly HostileFile[] {
  const many = (line: (index: number) => string, count: number): Buffer =>
    descriptorText('monolithicFlat', Array.from({ length: count }, (_, index) => line(index)).join('\n'));
  const cases: Readonly<Record<string, SparseFile>> = {
    'capacity-of-8-eib': {
      size: MIB,
      parts: [
        { at: 0, bytes: kdmv({ capacity: 2 ** 53 }) },
        { at: SECTOR, bytes: sparseText(2 ** 53) },
      ],
    },
    'directory-in-holes': {
      size: 64 * GIB,
      parts: [
        { at: 0, bytes: kdmv({ capacity: 2 ** 37, grain: 128 }) },
        { at: SECTOR, bytes: sparseText(2 ** 37) },
      ],
    },
    'tables-in-holes': {
      size: 64 * GIB,
      parts: [
        { at: 0, bytes: kdmv({ capacity: 2 ** 36, grain: 128 }) },
        { at: SECTOR, bytes: sparseText(2 ** 36) },
        { at: 2048 * SECTOR, bytes: table(2 ** 20, 'le32', (index) => 65_536 + index * 4) },
      ],
    },
    'grains-in-holes': {
      size: 600 * GIB,
      parts: [
        { at: 0, bytes: kdmv({ capacity: 2 ** 29, grain: 4096 }) },
        { at: SECTOR, bytes: sparseText(2 ** 29) },
        { at: 2048 * SECTOR, bytes: table(256, 'le32', (index) => 4096 + index * 4) },
        { at: 4096 * SECTOR, bytes: table(131_072, 'le32', (index) => 8192 + index * 4096) },
      ],
    },
    'one-table-for-all': grainTables(
      () => 4096,
      table(512, 'le32', (index) => (index % 2 === 0 ? 4224 : 0)),
    ),
    'the-directory-as-table': grainTables(() => 2048, Buffer.alloc(0)),
    'one-grain-for-all': grainTables(
      (index) => (index < 64 ? 4096 + index * 4 : 0),
      table(16_384, 'le32', () => 8192),
    ),
    'grains-of-one-sector': {
      size: 64 * MIB,
      parts: [
        { at: 0, bytes: kdmv({ capacity: 2 ** 30, grain: 1, perTable: 512 }) },
        { at: SECTOR, bytes: sparseText(2 ** 30) },
      ],
    },
    'tables-of-4-gi-entries': {
      size: 64 * MIB,
      parts: [
        { at: 0, bytes: kdmv({ capacity: 2 ** 40, perTable: 0xffffffff }) },
        { at: SECTOR, bytes: sparseText(2 ** 40) },
      ],
    },
    'descriptor-of-4-gib': {
      size: 8 * GIB,
      parts: [{ at: 0, bytes: kdmv({ capacity: 2 ** 21, descriptor: [1, 2 ** 23] }) }],
    },
    'footer-that-points-at-itself': {
      size: 8 * MIB,
      parts: [{ at: 0, bytes: kdmv({ capacity: 2 ** 21, directory: 2n ** 64n - 1n, flags: 0x30001 }) }],
    },
    'stream-of-bombs': streamOfBombs(),
    'many-extents': dense(many((index) => `RW 63 FLAT "x-${index}.vmdk" 0`, 30_000)),
    'many-lines': dense(many(() => 'RW 63 ZERO', 90_000)),
    'one-line': dense(descriptorText('monolithicFlat', `RW ${'1'.repeat(900_000)} ZERO`)),
    'line-of-spaces': dense(descriptorText('monolithicFlat', `RW${' '.repeat(900_000)}x`)),
    'quotes-without-end': dense(descriptorText('monolithicFlat', `ddb.x = ${'"'.repeat(900_000)}`)),
    'many-keys': dense(
      descriptorText('monolithicFlat', Array.from({ length: 60_000 }, (_, i) => `ddb.k${i} = "x"`).join('\n')),
    ),
    cowd: {
      size: 64 * MIB,
      parts: [
        {
          at: 0,
          bytes: block(
            SECTOR,
            'little',
            [
              [4, 4, 1],
              [8, 4, 3],
              [12, 4, 0xffffffff],
              [16, 4, 1],
              [20, 4, 4],
              [24, 4, 0xffffffff],
            ],
            [[0, 'COWD']],
          ),
        },
      ],
    },
    'se-sparse': {
      size: 64 * MIB,
      parts: [
        {
          at: 0,
          bytes: block(SECTOR, 'little', [
            [0, 8, 0xcafebabe],
            [8, 8, 0x200000001],
            [16, 8, 2n ** 63n],
            [24, 8, 8],
          ]),
        },
      ],
    },
  };
  const canary = (name: string, type: string, extents: string): HostileFile => ({
    name: `vmdk-${name}`,
    driver: 'vmdk',
    namesCanary: true,
    file: dense(descriptorText(type, extents)),
  });
  return [
    ...named('vmdk', cases),
    canary('extent', 'monolithicFlat', 'RW 2048 FLAT "canary" 0'),
    canary('extent-elsewhere', 'monolithicFlat', 'RW 2048 FLAT "../../../../../../../../canary" 0'),
    canary('device', 'fullDevice', 'RW 2048 FLAT "/dev/canary" 0'),
    canary('sparse-parts', 'twoGbMaxExtentSparse', 'RW 2048 SPARSE "canary"'),
    {
      name: 'vmdk-parent',
      driver: 'vmdk',
      namesCanary: true,
      file: {
        size: 8 * MIB,
        parts: [
          { at: 0, bytes: kdmv({ capacity: 2048 }) },
          {
            at: SECTOR,
            bytes: Buffer.from(
              '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=12345678\ncreateType="monolithicSparse"\nparentFileNameHint="canary"\nRW 2048 SPARSE "x"\n',
            ),
          },
        ],
      },
    },
  ];
}
