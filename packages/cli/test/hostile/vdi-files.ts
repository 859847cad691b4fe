/** Hostile files of VirtualBox. */
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { SparseFile } from './sparse-file.ts';
import { block, GIB, MIB, table, TIB } from './sparse-file.ts';

const SECTOR = 512;

function vdi(
  disk: { readonly size: number; readonly blocks: number; readonly blockSize?: number; readonly mapAt?: number },
  more: SparseFile['parts'],
  size: number,
  type: number = 1,
): SparseFile {
  const header = block(
    SECTOR,
    'little',
    [
      [64, 4, 0xbeda107f],
      [68, 4, 0x10001],
      [72, 4, 400],
      [76, 4, type],
      [340, 4, disk.mapAt ?? 512],
      [344, 4, 8 * MIB],
      [360, 4, SECTOR],
      [368, 8, disk.size],
      [376, 4, disk.blockSize ?? MIB],
      [384, 4, disk.blocks],
      [388, 4, disk.blocks],
    ],
    [[0, '<<< hostile >>>\n']],
  );
  return { size, parts: [{ at: 0, bytes: header }, ...more] };
}

/** VDI files. */
export function hostileVdi(): readonly HostileFile[] {
  const count = 2 ** 18;
  const map = (value: (index: number) => number): SparseFile['parts'] => [
    { at: 512, bytes: table(count, 'le32', value) },
  ];
  const disk = { size: count * MIB, blocks: count };
  return named('vdi', {
    'map-of-16-gib': vdi({ size: 4096 * TIB, blocks: 0xffffffff }, [], 64 * GIB),
    'largest-map-in-holes': vdi({ size: 4 * TIB, blocks: 2 ** 22 }, [], 64 * GIB),
    'all-blocks-one': vdi(
      disk,
      map(() => 0),
      16 * MIB,
    ),
    'blocks-beyond-the-file': vdi(
      disk,
      map((index) => index),
      16 * MIB,
    ),
    'blocks-in-holes': vdi(
      disk,
      map((index) => count - index),
      (count + 16) * MIB,
    ),
    'every-other-block': vdi(
      disk,
      map((index) => (index % 2 === 0 ? 0xffffffff : 0xfffffffe)),
      16 * MIB,
    ),
    'blocks-of-one-byte': vdi({ size: GIB, blocks: GIB, blockSize: 1 }, [], 16 * MIB),
    'disk-of-8-eib': vdi({ size: 2 ** 63, blocks: 1 }, [], 16 * MIB),
    'static-in-holes': vdi({ size: 4 * TIB, blocks: 2 ** 22 }, [], 5 * TIB, 2),
  });
}
