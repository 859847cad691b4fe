/** Hostile files of Hyper-V. */
import { crc32c, withZeroedField } from '../../../disk-image/src/bytes/crc32.ts';
import { guidBytes } from '../../../disk-image/src/bytes/guid.ts';
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { Field, SparseFile } from './sparse-file.ts';
import { block, GIB, KIB, MIB, table, TIB } from './sparse-file.ts';

function crc32cAt4(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32c(withZeroedField(bytes, 4)), 4);
  return bytes;
}

interface Vhdx {
  readonly diskSize: number;
  readonly blockSize?: number;
  readonly batAt: number;
  readonly batLength: number;
  readonly log?: readonly [at: number, length: number];
  readonly hasParent?: boolean;
}

const LOG_GUID = '11111111-2222-3333-4444-555555555555';
const guid = (at: number, text: string): { readonly at: number; readonly bytes: Uint8Array } => ({
  at,
  bytes: guidBytes(text),
});

function withGuids(bytes: Buffer, ...guids: readonly { readonly at: number; readonly bytes: Uint8Array }[]): Buffer {
  for (const { at, bytes: part } of guids) bytes.set(part, at);
  return bytes;
}

/** The structures of a disk; the metadata stands at 2 MiB, the log at 1 MiB unless it is said. */
function vhdx(disk: Vhdx, more: SparseFile['parts'], size: number): SparseFile {
  const { diskSize, blockSize = MIB, batAt, batLength, log } = disk;
  const header = (sequence: number): Buffer =>
    crc32cAt4(
      withGuids(
        block(
          4096,
          'little',
          [
            [8, 8, sequence],
            [64, 2, 0],
            [66, 2, 1],
            [68, 4, log?.[1] ?? MIB],
            [72, 8, log?.[0] ?? MIB],
          ],
          [[0, 'head']],
        ),
        ...(log === undefined ? [] : [guid(48, LOG_GUID)]),
      ),
    );
  const regions = crc32cAt4(
    withGuids(
      block(
        64 * KIB,
        'little',
        [
          [8, 4, 2],
          [32, 8, batAt],
          [40, 4, batLength],
          [44, 4, 1],
          [64, 8, 2 * MIB],
          [72, 4, MIB],
          [76, 4, 1],
        ],
        [[0, 'regi']],
      ),
      guid(16, '2dc27766-f623-4200-9d64-115e9bfd4a08'),
      guid(48, '8b7ca206-4790-4b9a-b8fe-575f050f886e'),
    ),
  );
  const items: readonly (readonly [string, number, number])[] = [
    ['caa16737-fa36-4d43-b3b6-33f0aa44e76b', 0, 8],
    ['2fa54224-cd1b-4876-b211-5dbed83bf4b8', 8, 8],
    ['beca12ab-b2e6-4523-93ef-c309e000c746', 16, 16],
    ['8141bf1d-a96f-4709-ba47-f233a8faab5f', 32, 4],
    ['cda348c7-445d-4471-9cc9-e9885251c556', 36, 4],
  ];
  const metadata = block(
    128 * KIB,
    'little',
    [
      [10, 2, items.length],
      ...items.flatMap(([, at, length], i): Field[] => [
        [48 + i * 32, 4, 64 * KIB + at],
        [52 + i * 32, 4, length],
        [56 + i * 32, 4, i === 0 ? 4 : 6],
      ]),
      [64 * KIB, 4, blockSize],
      [64 * KIB + 4, 4, disk.hasParent === true ? 2 : 0],
      [64 * KIB + 8, 8, diskSize],
      [64 * KIB + 32, 4, 512],
      [64 * KIB + 36, 4, 4096],
    ],
    [[0, 'metadata']],
  );
  withGuids(metadata, ...items.map(([text], i) => guid(32 + i * 32, text)));
  return {
    size,
    parts: [
      { at: 0, bytes: Buffer.from('vhdxfile') },
      { at: 64 * KIB, bytes: header(1) },
      { at: 128 * KIB, bytes: header(2) },
      { at: 192 * KIB, bytes: regions },
      { at: 256 * KIB, bytes: regions },
      { at: 2 * MIB, bytes: metadata },
      ...more,
    ],
  };
}

/** A log entry with as many descriptors as fit, each of zeros over the whole file. */
function logEntry(length: number, descriptors: number): Buffer {
  const bytes = block(
    length,
    'little',
    [
      [8, 4, length],
      [16, 8, 1],
      [24, 4, descriptors],
      [48, 8, 16 * MIB],
      [56, 8, 16 * MIB],
    ],
    [[0, 'loge']],
  );
  withGuids(bytes, guid(32, LOG_GUID));
  for (let i = 0; i < descriptors; i++) {
    const at = 64 + i * 32;
    bytes.write('zero', at);
    bytes.writeBigUInt64LE(BigInt(16 * MIB), at + 8);
    bytes.writeBigUInt64LE(BigInt(4 * MIB), at + 16);
    bytes.writeBigUInt64LE(1n, at + 24);
  }
  return crc32cAt4(bytes);
}

const vhdxBat = (count: number, value: (index: number) => number): SparseFile['parts'] => [
  { at: 4 * MIB, bytes: table(count, 'le64', value) },
];

/** VHDX files. */
export function hostileVhdx(): readonly HostileFile[] {
  const small = { batAt: 4 * MIB, batLength: 2 * MIB };
  return named('vhdx', {
    'largest-table-in-holes': vhdx({ diskSize: 64 * TIB, batAt: GIB, batLength: 513 * MIB }, [], 8 * GIB),
    'disk-of-8-eib': vhdx({ diskSize: 2 ** 63, batAt: GIB, batLength: GIB }, [], 8 * GIB),
    'all-blocks-one': vhdx(
      { diskSize: 2 ** 17 * MIB, ...small },
      vhdxBat(2 ** 17, () => 8 * MIB + 6),
      16 * MIB,
    ),
    'all-blocks-the-header': vhdx(
      { diskSize: 2 ** 17 * MIB, ...small },
      vhdxBat(2 ** 17, () => 6),
      16 * MIB,
    ),
    'blocks-beyond-the-file': vhdx(
      { diskSize: 2 ** 17 * MIB, ...small },
      vhdxBat(2 ** 17, (i) => (i + 8) * MIB + 6),
      16 * MIB,
    ),
    'blocks-in-holes': vhdx(
      { diskSize: 2 ** 17 * MIB, ...small },
      vhdxBat(2 ** 17, (i) => (i + 8) * MIB + 6),
      2 ** 17 * MIB + 64 * MIB,
    ),
    'partial-blocks-in-holes': vhdx(
      { diskSize: 2 ** 16 * MIB, ...small, hasParent: true },
      vhdxBat(2 ** 17, (i) => (i + 8) * MIB + 7),
      2 ** 18 * MIB,
    ),
    'log-of-4-gib': vhdx({ diskSize: GIB, ...small, log: [GIB, 4095 * MIB] }, [], 8 * GIB),
    'log-of-one-entry': vhdx(
      { diskSize: GIB, ...small, log: [8 * MIB, 2 * MIB] },
      [{ at: 8 * MIB, bytes: logEntry(2 * MIB, 65_000) }],
      64 * MIB,
    ),
    'log-of-many-entries': vhdx(
      { diskSize: GIB, ...small, log: [8 * MIB, 16 * MIB] },
      Array.from({ length: 512 }, (_, i) => ({ at: 8 * MIB + i * 8192, bytes: logEntry(8192, 120) })),
      64 * MIB,
    ),
  });
}
