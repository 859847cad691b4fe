/** Hostile files of Apple, cloop and Bochs. */
import { deflateSync } from 'node:zlib';
import type { HostileFile } from './hostile-file.ts';
import { named } from './hostile-file.ts';
import type { SparseFile } from './sparse-file.ts';
import { block, dense, GIB, MIB, table, TIB } from './sparse-file.ts';

const SECTOR = 512;

/** A property list with the text where block tables are, and its trailer. */
function dmg(list: Buffer, sectors: number, data: Buffer = Buffer.alloc(0)): SparseFile {
  const trailer = block(
    SECTOR,
    'big',
    [
      [4, 4, 4],
      [8, 4, SECTOR],
      [32, 8, data.length],
      [56, 4, 1],
      [60, 4, 1],
      [216, 8, data.length],
      [224, 8, list.length],
      [488, 4, 1],
      [492, 8, sectors],
    ],
    [[0, 'koly']],
  );
  return dense(Buffer.concat([data, list, trailer]));
}

function chunkTable(
  count: number,
  chunk: (index: number) => {
    readonly type: number;
    readonly sectors: number;
    readonly at: number;
    readonly length: number;
  },
): Buffer {
  const bytes = block(
    204 + count * 40,
    'big',
    [
      [4, 4, 1],
      [200, 4, count],
    ],
    [[0, 'mish']],
  );
  let first = 0;
  for (let i = 0; i < count; i++) {
    const { type, sectors, at, length } = chunk(i);
    bytes.writeUInt32BE(type, 204 + i * 40);
    bytes.writeBigUInt64BE(BigInt(first), 212 + i * 40);
    bytes.writeBigUInt64BE(BigInt(sectors), 220 + i * 40);
    bytes.writeBigUInt64BE(BigInt(at), 228 + i * 40);
    bytes.writeBigUInt64BE(BigInt(length), 236 + i * 40);
    first += sectors;
  }
  bytes.writeBigUInt64BE(BigInt(first), 16);
  return bytes;
}

const propertyList = (data: string): Buffer =>
  Buffer.from(
    `<?xml version="1.0"?><plist version="1.0"><dict><key>resource-fork</key><dict><key>blkx</key><array>${data}</array></dict></dict></plist>`,
  );
const tableEntry = (bytes: Buffer): string =>
  `<dict><key>Data</key><data>${bytes.toString('base64')}</data><key>ID</key><string>0</string></dict>`;

/** UDIF files. */
export function hostileDmg(): readonly HostileFile[] {
  const packed = deflateSync(new Uint8Array(16 * MIB).fill(0x55), { level: 9 });
  const bomb = { type: 0x80000005, sectors: (16 * MIB) / SECTOR, at: 0, length: packed.length };
  const entities = `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">${Array.from({ length: 9 }, (_, i) => `<!ENTITY ${'bcdefghij'[i]} "${`&${'abcdefghi'[i]};`.repeat(10)}">`).join('')}]><plist>&j;</plist>`;
  return named('dmg', {
    bombs: dmg(propertyList(tableEntry(chunkTable(4096, () => bomb))), 4096 * bomb.sectors, packed),
    'chunks-beyond-the-limit': dmg(
      propertyList(tableEntry(chunkTable(1, () => ({ ...bomb, sectors: 2 ** 40, length: 2 ** 40 })))),
      2 ** 40,
      packed,
    ),
    'many-small-chunks': dmg(
      propertyList(tableEntry(chunkTable(60_000, () => ({ type: 1, sectors: 1, at: 0, length: SECTOR })))),
      60_000,
      Buffer.alloc(SECTOR, 0x55),
    ),
    'many-tables': dmg(
      propertyList(tableEntry(chunkTable(1, () => ({ type: 2, sectors: 1, at: 0, length: 0 }))).repeat(5000)),
      5000,
    ),
    'deep-nesting': dmg(Buffer.from(`<plist>${'<dict>'.repeat(500_000)}`), 2048),
    'many-elements': dmg(propertyList('<dict/>'.repeat(400_000)), 2048),
    'many-attributes': dmg(
      Buffer.from(`<plist ${Array.from({ length: 200_000 }, (_, i) => `a${i}="x"`).join(' ')}/>`),
      2048,
    ),
    'tag-without-end': dmg(Buffer.from(`<plist ${'<'.repeat(2 * MIB)}`), 2048),
    'comments-without-end': dmg(Buffer.from(`<plist>${'<!-- '.repeat(400_000)}`), 2048),
    'entity-bomb': dmg(Buffer.from(entities), 2048),
    'base64-of-spaces': dmg(propertyList(`<dict><key>Data</key><data>${' '.repeat(3 * MIB)}=</data></dict>`), 2048),
    'disk-of-8-eib': dmg(
      propertyList(tableEntry(chunkTable(1, () => ({ type: 2, sectors: 2 ** 43, at: 0, length: 0 })))),
      2 ** 43,
    ),
  });
}

const cloopOf = (blockSize: number, blocks: number, more: SparseFile['parts'], size: number): SparseFile => ({
  size,
  parts: [
    {
      at: 0,
      bytes: block(
        136,
        'big',
        [
          [128, 4, blockSize],
          [132, 4, blocks],
        ],
        [[0, '#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n']],
      ),
    },
    ...more,
  ],
});

/** cloop files. */
export function hostileCloop(): readonly HostileFile[] {
  const packed = deflateSync(new Uint8Array(16 * MIB).fill(0x55), { level: 9 });
  return named('cloop', {
    'offsets-of-32-gib': cloopOf(65_536, 0xffffffff, [], 64 * GIB),
    'largest-offsets-in-holes': cloopOf(65_536, 8 * MIB - 1, [], 64 * GIB),
    'blocks-of-2-gib': cloopOf(2 ** 31, 16, [], 64 * MIB),
    'blocks-that-go-back': cloopOf(
      65_536,
      4096,
      [{ at: 136, bytes: table(4097, 'be64', (i) => 64 * MIB - i) }],
      64 * MIB,
    ),
    bombs: cloopOf(
      16 * MIB,
      60,
      [
        { at: 136, bytes: table(61, 'be64', (index) => 4096 + index * packed.length) },
        ...Array.from({ length: 60 }, (_, index) => ({ at: 4096 + index * packed.length, bytes: packed })),
      ],
      4096 + 61 * packed.length,
    ),
  });
}

const bochsOf = (
  disk: { readonly entries: number; readonly bitmap: number; readonly extent: number; readonly size: number },
  more: SparseFile['parts'],
  size: number,
): SparseFile => ({
  size,
  parts: [
    {
      at: 0,
      bytes: block(
        SECTOR,
        'little',
        [
          [64, 4, 0x20000],
          [68, 4, SECTOR],
          [72, 4, disk.entries],
          [76, 4, disk.bitmap],
          [80, 4, disk.extent],
          [88, 8, disk.size],
        ],
        [
          [0, 'Bochs Virtual HD Image'],
          [32, 'Redolog'],
          [48, 'Growing'],
        ],
      ),
    },
    ...more,
  ],
});

const bochsCatalog = (count: number, value: (index: number) => number): SparseFile['parts'] => [
  { at: SECTOR, bytes: table(count, 'le32', value) },
];

/** Bochs files. */
export function hostileBochs(): readonly HostileFile[] {
  const count = 2 ** 18;
  const disk = { entries: count, bitmap: 512, extent: 2 * MIB, size: count * 2 * MIB };
  return named('bochs', {
    'catalog-of-16-gib': bochsOf({ entries: 0xffffffff, bitmap: 1, extent: 4096, size: 2 ** 43 }, [], 64 * GIB),
    'largest-catalog-in-holes': bochsOf({ entries: MIB, bitmap: 512, extent: 2 * MIB, size: 2 * TIB }, [], 64 * GIB),
    'all-extents-one': bochsOf(
      disk,
      bochsCatalog(count, () => 0),
      16 * MIB,
    ),
    'extents-in-holes': bochsOf(
      disk,
      bochsCatalog(count, (index) => index),
      600 * GIB,
    ),
    'extents-beyond-the-file': bochsOf(
      disk,
      bochsCatalog(count, (index) => 2 ** 30 + index),
      16 * MIB,
    ),
    'extents-of-4-gib': bochsOf({ entries: 16, bitmap: 0xffffffff, extent: 0xfffffe00, size: 2 ** 36 }, [], 16 * MIB),
  });
}
