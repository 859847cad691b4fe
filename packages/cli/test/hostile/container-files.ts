/** Hostile containers. They are not small because they are made by hand, but because they pack well. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { packedBy } from '../../../disk-image/test/packed.ts';
import type { TarFile } from '../../../disk-image/test/tar-archives.ts';
import { ovfOf, sha256Line, tarOf } from '../../../disk-image/test/tar-archives.ts';
import type { HostileFile } from './hostile-file.ts';
import type { SparseFile } from './sparse-file.ts';
import { block, dense, GIB, KIB, MIB } from './sparse-file.ts';

/** What packs so well that it is a bomb: a gibibyte of one byte. */
const BOMB_BYTES = GIB;

const bombScript = (packer: string): readonly string[] => [
  '-c',
  `head -c ${BOMB_BYTES} /dev/zero | tr '\\0' U | ${packer}`,
];

async function bombs(): Promise<Readonly<Record<string, Uint8Array>>> {
  return {
    gz: await packedBy('sh', bombScript('gzip -9')),
    xz: await packedBy('sh', bombScript('xz -1')),
    bz2: await packedBy('sh', bombScript('bzip2 -9')),
    zst: await packedBy('sh', bombScript('zstd -c')),
  };
}

function nested(depth: number, pack: (content: Uint8Array) => Uint8Array): Uint8Array {
  let content: Uint8Array = new Uint8Array(MIB);
  for (let i = 0; i < depth; i++) content = pack(content);
  return content;
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const ovf = (content: string): SparseFile => dense(tarOf([{ name: 'box.ovf', content: text(content) }]));

/** A zip whose central directory is written by hand. */
function zipOf(directory: Buffer, count: number, before: Buffer = Buffer.alloc(0)): SparseFile {
  const end = block(22, 'little', [
    [0, 4, 0x06054b50],
    [8, 2, count],
    [10, 2, count],
    [12, 4, directory.length],
    [16, 4, before.length],
  ]);
  return dense(Buffer.concat([before, directory, end]));
}

function zipEntry(name: string, size: number, offset: number): Buffer {
  const entry = block(46, 'little', [
    [0, 4, 0x02014b50],
    [10, 2, 8],
    [20, 4, 1000],
    [24, 4, size],
    [28, 2, name.length],
    [42, 4, offset],
  ]);
  return Buffer.concat([entry, Buffer.from(name)]);
}

const localHeader = (): Buffer =>
  block(
    31,
    'little',
    [
      [0, 4, 0x04034b50],
      [8, 2, 8],
      [26, 2, 1],
    ],
    [[30, 'a']],
  );

const octal = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;

/** A file of very many holes, whose map goes on and on. */
function sparseMap(): SparseFile {
  const blocks = 6000;
  const bytes = tarOf([{ name: 'disk.raw', content: new Uint8Array(0), type: 'S' }]).subarray(0, 512);
  const header = Buffer.from(bytes);
  header.write(octal(blocks * 21), 124);
  for (let i = 0; i < 4; i++) header.write(octal(i * 2) + octal(0), 386 + i * 24);
  header[482] = 1;
  header.write(octal(8 * GIB - 1), 483);
  header.write('        ', 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const more = Buffer.alloc(blocks * 512);
  for (let i = 0; i < blocks * 21; i++) {
    const at = Math.floor(i / 21) * 512 + (i % 21) * 24;
    more.write(octal(8 + i * 2) + octal(1), at);
  }
  for (let i = 0; i < blocks - 1; i++) more[i * 512 + 504] = 1;
  return dense(Buffer.concat([header, more, Buffer.alloc(blocks * 21 + 4096)]));
}

/** Names before each file that are all as long as they may be, in holes. */
function longNames(): SparseFile {
  const member = tarOf([{ name: 'x', content: new Uint8Array(0), type: 'L', size: MIB.toString(8).padStart(11, '0') }]);
  const header = member.subarray(0, 512);
  const step = MIB + 512;
  const count = 2000;
  return {
    size: count * step + 1024,
    parts: Array.from({ length: count }, (_, i) => ({ at: i * step, bytes: header })),
  };
}

const emptyMembers = (count: number): readonly TarFile[] =>
  Array.from({ length: count }, (_, i) => ({ name: `file-${i}`, content: new Uint8Array(0) }));

function archives(): Readonly<Record<string, SparseFile>> {
  const disk = { name: 'd.vmdk', content: new Uint8Array(64 * KIB).fill(7) };
  const big = { id: 'a', name: 'd.vmdk', content: new Uint8Array(MIB).fill(7) };
  const descriptor = ovfOf([big]);
  const manifest = Buffer.concat(Array.from({ length: 20_000 }, () => sha256Line(big.name, big.content)));
  const deep = nested(2, (content) => tarOf([{ name: 'a', content }]));
  return {
    'tar-of-many-files': dense(tarOf(emptyMembers(7000))),
    'tar-without-end': dense(tarOf(emptyMembers(7000)).subarray(0, -1024)),
    'tar-of-long-names': longNames(),
    'tar-of-very-many-pieces': sparseMap(),
    'tar-in-tar-in-tar-and-on': dense(nested(300, (content) => tarOf([{ name: 'a', content }]))),
    'gz-in-gz-in-tar-in-zip': dense(gzipSync(gzipSync(deep))),
    'gz-in-gz-and-on': dense(nested(300, (content) => gzipSync(content))),
    'gz-of-many-members': dense(Buffer.concat(Array.from({ length: 150_000 }, () => gzipSync(new Uint8Array(0))))),
    'gz-with-a-name-without-end': dense(
      Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(3 * MIB, 0x41)]),
    ),
    'zst-of-many-frames': dense(
      Buffer.concat(Array.from({ length: 100_000 }, () => zstdCompressSync(new Uint8Array(0)))),
    ),
    'zst-of-skippable-frames': dense(
      Buffer.concat([
        zstdCompressSync(new Uint8Array(9)),
        Buffer.concat(Array.from({ length: 250_000 }, () => block(8, 'little', [[0, 4, 0x184d2a50]]))),
      ]),
    ),
    'zip-of-many-files': zipOf(
      Buffer.concat(Array.from({ length: 60_000 }, (_, i) => zipEntry(`f${i}`, 1000, 0))),
      60_000,
      localHeader(),
    ),
    'zip-of-one-name': zipOf(
      Buffer.concat(Array.from({ length: 60_000 }, () => zipEntry('a', 1000, 0))),
      60_000,
      localHeader(),
    ),
    'zip-of-overlapping-files': zipOf(
      Buffer.concat(Array.from({ length: 60_000 }, (_, i) => zipEntry(`f${i}`, 0xfffffff0, 0))),
      60_000,
      Buffer.concat([localHeader(), Buffer.alloc(4096)]),
    ),
    'zip-that-says-more-than-it-has': zipOf(zipEntry('a', 1000, 0), 65_534, localHeader()),
    'ova-of-many-entries': dense(
      tarOf([
        {
          name: 'box.ovf',
          content: ovfOf(Array.from({ length: 8000 }, (_, i) => ({ id: `i${i}`, ...disk, name: `d${i}` }))),
        },
        disk,
      ]),
    ),
    'ova-with-a-manifest-of-one-file': dense(
      tarOf([{ name: 'box.ovf', content: descriptor }, { name: 'box.mf', content: manifest }, big]),
    ),
    'ovf-entity-bomb': ovf(
      `<!DOCTYPE x [<!ENTITY a "${'a'.repeat(1000)}">${Array.from({ length: 9 }, (_, i) => `<!ENTITY ${'bcdefghij'[i]} "${`&${'abcdefghi'[i]};`.repeat(10)}">`).join('')}]><Envelope>&j;</Envelope>`,
    ),
    'ovf-external-entity': ovf('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///canary">]><Envelope>&a;</Envelope>'),
    'ovf-deep': ovf(`<Envelope>${'<a>'.repeat(900_000)}`),
    'ovf-wide': ovf(`<Envelope>${'<a/>'.repeat(900_000)}</Envelope>`),
    'ovf-attributes': ovf(`<Envelope ${Array.from({ length: 250_000 }, (_, i) => `a${i}="x"`).join(' ')}/>`),
    'ovf-tag-without-end': ovf(`<Envelope ${'<'.repeat(3 * MIB)}`),
    'ovf-comments-without-end': ovf(`<Envelope>${'<!-- '.repeat(700_000)}`),
    'ovf-references-without-end': ovf(`<Envelope>${'&#x41'.repeat(600_000)}</Envelope>`),
    'ovf-namespaces': ovf(`<Envelope>${':'.repeat(3 * MIB)}<${'a:'.repeat(400_000)}b/></Envelope>`),
  };
}

/** Containers of every kind. */
export async function hostileContainers(): Promise<readonly HostileFile[]> {
  const packed = await bombs();
  const { gz = new Uint8Array(0) } = packed;
  return [
    ...Object.entries(packed).map(([kind, bytes]): HostileFile => ({ name: `${kind}-bomb`, file: dense(bytes) })),
    { name: 'gz-bomb-in-a-gz', file: dense(gzipSync(gz)) },
    { name: 'gz-bomb-in-a-tar', file: dense(tarOf([{ name: 'a.gz', content: gz }])) },
    ...Object.entries(archives()).map(([name, file]): HostileFile => ({ name, file })),
  ];
}
