import type { Peer } from './qcow2-peer.ts';

/** A small image made by qemu-img and qemu-io. */
export interface GoldenRecipe {
  readonly name: string;
  readonly options: string;
  readonly sizeBytes: number;
  readonly commands: readonly string[];
  /** qemu-img commands after that; `disk.qcow2` stands for the image. */
  readonly afterwards?: readonly (readonly string[])[];
}

const WRITES = [
  'write -P 5 10k 100k',
  'write -P 7 1M 3k',
  'write -z 1500k 100k',
  'write -P 9 1530k 1k',
  'write -P 3 2M 70k',
  'discard 2M 64k',
  'write -P 11 3071k 1k',
];
const COMPRESSED_WRITES = [
  'write -c -P 5 0 64k',
  'write -c -P 6 64k 64k',
  'write -c -P 9 256k 64k',
  'write -P 1 70k 3k',
];
const SIZE = 3 * 2 ** 20;

/** One image of each kind that the reader must read. */
export const GOLDENS: readonly GoldenRecipe[] = [
  { name: 'version 3', options: 'compat=1.1', sizeBytes: SIZE, commands: WRITES },
  { name: 'version 2', options: 'compat=0.10', sizeBytes: SIZE, commands: WRITES },
  { name: '512 byte clusters', options: 'cluster_size=512', sizeBytes: SIZE, commands: WRITES },
  { name: '4 KiB clusters', options: 'cluster_size=4k,refcount_bits=1', sizeBytes: SIZE, commands: WRITES },
  { name: '2 MiB clusters', options: 'cluster_size=2M,refcount_bits=64', sizeBytes: SIZE, commands: WRITES },
  { name: 'lazy refcounts', options: 'lazy_refcounts=on,refcount_bits=8', sizeBytes: SIZE, commands: WRITES },
  { name: 'extended L2', options: 'extended_l2=on', sizeBytes: SIZE, commands: WRITES },
  { name: 'extended L2, 16 KiB', options: 'extended_l2=on,cluster_size=16k', sizeBytes: SIZE, commands: WRITES },
  { name: 'zlib', options: 'compression_type=zlib', sizeBytes: SIZE, commands: COMPRESSED_WRITES },
  { name: 'zlib, version 2', options: 'compat=0.10', sizeBytes: SIZE, commands: COMPRESSED_WRITES },
  { name: 'zstd', options: 'compression_type=zstd', sizeBytes: SIZE, commands: COMPRESSED_WRITES },
  {
    name: 'zstd, extended L2',
    options: 'compression_type=zstd,extended_l2=on',
    sizeBytes: SIZE,
    commands: COMPRESSED_WRITES,
  },
  { name: 'preallocated', options: 'preallocation=metadata', sizeBytes: SIZE, commands: ['write -P 4 1M 1k'] },
  { name: 'odd size', options: 'cluster_size=64k', sizeBytes: 100_352, commands: ['write -P 2 70000 30352'] },
  { name: 'empty disk', options: 'cluster_size=64k', sizeBytes: 0, commands: [] },
  {
    name: 'snapshots and a bitmap',
    options: 'cluster_size=4k',
    sizeBytes: SIZE,
    commands: WRITES,
    afterwards: [
      ['snapshot', '-c', 'first', 'disk.qcow2'],
      ['resize', '-q', 'disk.qcow2', '4M'],
      ['snapshot', '-c', 'second', 'disk.qcow2'],
      ['bitmap', '--add', '-g', '4096', 'disk.qcow2', 'dirty0'],
    ],
  },
];

/** Makes the image as `disk.qcow2` in the peer's folder and returns its bytes. */
export async function makeGolden(peer: Peer, recipe: GoldenRecipe): Promise<Uint8Array<ArrayBuffer>> {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', recipe.options, 'disk.qcow2', `${recipe.sizeBytes}`]);
  if (recipe.commands.length > 0) await peer.io('disk.qcow2', recipe.commands);
  for (const command of recipe.afterwards ?? []) await peer.img(command);
  return peer.read('disk.qcow2');
}

/** The recipe of that name. */
export function golden(name: string): GoldenRecipe {
  const recipe = GOLDENS.find((candidate) => candidate.name === name);
  if (recipe === undefined) throw new Error(`no golden is called ${name}`);
  return recipe;
}
