/** Hostile files of Virtual PC. */
import { additiveChecksum } from '../../../disk-image/src/formats/vhd/checksum.ts';
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { Field, SparseFile } from './sparse-file.ts';
import { block, GIB, MIB, table, TIB } from './sparse-file.ts';

const SECTOR = 512;

interface DynamicDisk {
  readonly size: number;
  readonly entries: number;
  readonly blockSize?: number;
  readonly type?: 3 | 4;
  readonly tableAt?: number;
  readonly header?: readonly Field[];
}

function summed(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt32BE(additiveChecksum(bytes, at), at);
  return bytes;
}

function vhd(disk: DynamicDisk, more: SparseFile['parts'], fileSize: number): SparseFile {
  const { size, entries, blockSize = 2 * MIB, type = 3, tableAt = 1536 } = disk;
  const footer = summed(
    block(
      SECTOR,
      'big',
      [
        [8, 4, 2],
        [12, 4, 0x10000],
        [16, 8, SECTOR],
        [40, 8, size],
        [48, 8, size],
        [56, 2, 65_535],
        [58, 1, 16],
        [59, 1, 255],
        [60, 4, type],
      ],
      [
        [0, 'conectix'],
        [28, 'dmph'],
        [36, 'Wi2k'],
      ],
    ),
    64,
  );
  const header = summed(
    block(
      1024,
      'big',
      [[8, 8, -1n], [16, 8, tableAt], [24, 4, 0x10000], [28, 4, entries], [32, 4, blockSize], ...(disk.header ?? [])],
      [[0, 'cxsparse']],
    ),
    36,
  );
  return {
    size: fileSize,
    parts: [{ at: 0, bytes: footer }, { at: SECTOR, bytes: header }, ...more, { at: fileSize - SECTOR, bytes: footer }],
  };
}

/** VHD files. */
export function hostileVhd(): readonly HostileFile[] {
  const entries = 2 ** 18;
  const all = (value: (index: number) => number): SparseFile['parts'] => [
    { at: 2048, bytes: table(entries, 'be32', value) },
  ];
  const disk = { size: entries * 2 * MIB, entries, tableAt: 2048 };
  return named('vpc', {
    'table-of-4-gi-entries': vhd({ size: 2 * TIB, entries: 0xffffffff, blockSize: SECTOR }, [], 64 * GIB),
    'largest-table-in-holes': vhd({ size: 2040 * GIB, entries: 4_177_920, blockSize: SECTOR * 1024 }, [], 64 * GIB),
    'all-blocks-one': vhd(
      disk,
      all(() => 4096),
      16 * MIB,
    ),
    'all-blocks-the-header': vhd(
      disk,
      all(() => 0),
      16 * MIB,
    ),
    'blocks-that-overlap': vhd(
      disk,
      all((index) => 4096 + (index % 4096)),
      16 * MIB,
    ),
    'blocks-in-holes': vhd(
      disk,
      all((index) => 4096 + index * 4097),
      600 * GIB,
    ),
    'blocks-of-2-gib': vhd({ size: 2040 * GIB, entries: 1020, blockSize: 2 ** 31 }, [], 16 * MIB),
    'blocks-of-no-bytes': vhd({ size: GIB, entries: 512, blockSize: 0 }, [], MIB),
    'table-in-the-header': vhd({ size: GIB, entries: 512, tableAt: 0 }, [], MIB),
    'parent-names-of-4-gib': vhd(
      {
        size: GIB,
        entries: 512,
        type: 4,
        header: Array.from({ length: 8 }).flatMap((_, i): Field[] => [
          [576 + i * 24, 4, 0x57326b75],
          [580 + i * 24, 4, 0x7fffffff],
          [584 + i * 24, 4, 0xffffffff],
          [592 + i * 24, 8, 8192],
        ]),
      },
      [],
      64 * GIB,
    ),
  }).concat([
    {
      name: 'vpc-parent',
      driver: 'vpc',
      namesCanary: true,
      file: vhd(
        {
          size: GIB,
          entries: 512,
          type: 4,
          tableAt: 4096,
          header: [
            ...[...'canary'].map((letter, i): Field => [64 + i * 2, 2, letter.charCodeAt(0)]),
            [576, 4, 0x57326b75],
            [580, 4, 512],
            [584, 4, 12],
            [592, 8, 2560],
          ],
        },
        [
          { at: 2560, bytes: Buffer.from('canary', 'utf16le') },
          { at: 4096, bytes: Buffer.alloc(2048, 0xff) },
        ],
        MIB,
      ),
    },
  ]);
}
