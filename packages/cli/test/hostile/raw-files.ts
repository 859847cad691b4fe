/** Hostile raw disks and encrypted volumes. */
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { Field, SparseFile } from './sparse-file.ts';
import { block, dense, GIB, MIB, TIB } from './sparse-file.ts';

const SECTOR = 512;

/** Raw disks. */
export function hostileRaw(): readonly HostileFile[] {
  const bootRecord = (...entries: readonly (readonly [type: number, first: number, count: number])[]): Buffer =>
    block(SECTOR, 'little', [
      ...entries.flatMap(([type, first, count], i): Field[] => [
        [450 + i * 16, 1, type],
        [454 + i * 16, 4, first],
        [458 + i * 16, 4, count],
      ]),
      [510, 2, 0xaa55],
    ]);
  const gpt = (count: number, entryBytes: number): Buffer =>
    block(
      SECTOR,
      'little',
      [
        [8, 4, 0x10000],
        [12, 4, 92],
        [24, 8, 1],
        [32, 8, 2n ** 63n],
        [72, 8, 2],
        [80, 4, count],
        [84, 4, entryBytes],
      ],
      [[0, 'EFI PART']],
    );
  const islands = Array.from({ length: 500 }, (_, i) => ({ at: i * 17 * GIB, bytes: Buffer.alloc(4096, 0x55) }));
  return named('raw', {
    nothing: { size: 0, parts: [] },
    'one-byte': dense(Buffer.from('x')),
    'hole-of-8-tib': { size: 8 * TIB, parts: [] },
    islands: { size: 8 * TIB, parts: islands },
    'partitions-in-a-circle': {
      size: 64 * MIB,
      parts: [
        { at: 0, bytes: bootRecord([0x0f, 64, 100_000]) },
        { at: 64 * SECTOR, bytes: bootRecord([0x83, 1, 8], [0x05, 64, 8]) },
        { at: 128 * SECTOR, bytes: bootRecord([0x83, 1, 8], [0x05, 64, 8]) },
      ],
    },
    'gpt-of-4-gi-entries': { size: 64 * MIB, parts: [{ at: SECTOR, bytes: gpt(0xffffffff, 0xffffffff) }] },
  });
}

const luksOf = (headerSize: number, json: string, size: number): SparseFile => ({
  size,
  parts: [
    {
      at: 0,
      bytes: block(
        4096,
        'big',
        [
          [6, 2, 2],
          [8, 8, headerSize],
        ],
        [
          [0, 'LUKS\xba\xbe'],
          [72, 'sha256'],
        ],
      ),
    },
    { at: 4096, bytes: Buffer.from(json) },
  ],
});

/** Encrypted volumes. */
export function hostileLuks(): readonly HostileFile[] {
  const full = 4 * MIB;
  return named('luks', {
    'deep-json': luksOf(full, `${'{"segments":'.repeat(200_000)}`, 8 * MIB),
    'deep-arrays': luksOf(full, '['.repeat(full - 8192), 8 * MIB),
    'many-segments': luksOf(
      full,
      `{"segments":{${Array.from({ length: 60_000 }, (_, i) => `"${i}":{"offset":"32768","size":"dynamic"}`).join(',')}}}`,
      8 * MIB,
    ),
    'long-number': luksOf(full, `{"segments":{"0":{"offset":"${'9'.repeat(3 * MIB)}","size":"dynamic"}}}`, 8 * MIB),
    'header-of-8-eib': luksOf(2 ** 62, '{}', 8 * MIB),
    'version-1-beyond-the-file': {
      size: MIB,
      parts: [
        {
          at: 0,
          bytes: block(
            592,
            'big',
            [
              [6, 2, 1],
              [104, 4, 0xffffffff],
              [108, 4, 0xffffffff],
            ],
            [[0, 'LUKS\xba\xbe']],
          ),
        },
      ],
    },
  });
}
