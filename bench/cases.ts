/** What is measured: conversions of one fixture disk. */

/** One conversion, told to both programs. */
export interface BenchCase {
  readonly name: string;
  /** `raw`, a variant of `fixtures/variants.ts`, or the almost empty disk of `sparse-disk.ts`. */
  readonly source: string;
  readonly sourceFormat: string;
  readonly targetFormat: string;
  /** The options of `qemu-img convert` and of `diskmorph convert` that ask for the same result. */
  readonly peerOptions: readonly string[];
  readonly ourOptions: readonly string[];
}

/** The source name of the almost empty disk. */
export const SPARSE_SOURCE = 'sparse';

/** Every case, in the order of the report. */
export const cases: readonly BenchCase[] = [
  reading('qcow2-to-raw', 'qcow2'),
  reading('qcow2-zlib-to-raw', 'qcow2-zlib'),
  reading('qcow2-zstd-to-raw', 'qcow2-zstd'),
  reading('vmdk-sparse-to-raw', 'vmdk-monolithicSparse'),
  reading('vmdk-stream-to-raw', 'vmdk-streamOptimized'),
  writing('raw-to-qcow2', 'qcow2', { peer: [], ours: [] }),
  writing('raw-to-qcow2-zlib', 'qcow2', { peer: ['-c'], ours: ['-o', 'compression=zlib'] }),
  writing('raw-to-qcow2-zstd', 'qcow2', {
    peer: ['-c', '-o', 'compression_type=zstd'],
    ours: ['-o', 'compression=zstd'],
  }),
  writing('raw-to-vmdk-stream', 'vmdk', {
    peer: ['-o', 'subformat=streamOptimized'],
    ours: ['-o', 'subformat=streamOptimized'],
  }),
  { ...writing('sparse-raw-to-qcow2', 'qcow2', { peer: [], ours: [] }), source: SPARSE_SOURCE },
];

function reading(name: string, source: string): BenchCase {
  const sourceFormat = source.split('-')[0] ?? source;
  return { name, source, sourceFormat, targetFormat: 'raw', peerOptions: [], ourOptions: [] };
}

function writing(
  name: string,
  targetFormat: string,
  options: { readonly peer: readonly string[]; readonly ours: readonly string[] },
): BenchCase {
  const { peer, ours } = options;
  return { name, source: 'raw', sourceFormat: 'raw', targetFormat, peerOptions: peer, ourOptions: ours };
}

/** The cases of those names, or all. Throws an Error naming those there are. */
export function selectCases(names: readonly string[]): readonly BenchCase[] {
  const unknown = names.filter((name) => !cases.some((candidate) => candidate.name === name));
  if (unknown.length > 0) {
    throw new Error(`no case ${unknown.join(', ')}; there are:\n  ${cases.map(({ name }) => name).join('\n  ')}`);
  }
  return names.length === 0 ? cases : cases.filter(({ name }) => names.includes(name));
}
