import type { ByteSource } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';
import { sharedTables } from '../../image/shared-tables.ts';
import { vmdkError } from './fault.ts';
import { SECTOR_SIZE } from './sector.ts';
import type { SparseHeader } from './sparse-header.ts';
import { MAX_DIRECTORY_ENTRIES, SPARSE_HEADER_SIZE, tableCount } from './sparse-header.ts';

const hostIsLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * `count` little-endian u32 entries at `offset`. The caller has checked `count` against a limit and that the range
 * lies inside the file.
 */
export async function readEntries(source: ByteSource, offset: number, count: number): Promise<Uint32Array> {
  const entries = new Uint32Array(count);
  const bytes = new Uint8Array(entries.buffer);
  await source.read(offset, bytes);
  if (hostIsLittleEndian) return entries;
  const view = new DataView(entries.buffer);
  for (let i = 0; i < count; i++) entries[i] = view.getUint32(i * 4, true);
  return entries;
}

/**
 * The grain directory: for each grain table its first sector, or 0 when none of its grains is allocated.
 * `truncated` when the directory reaches beyond the file, `corrupt` when it lies over the header.
 * Virtual Disk Format 5.0, "Grain Directory".
 */
export async function readGrainDirectory(source: ByteSource, header: SparseHeader): Promise<Uint32Array> {
  assert(header.directoryOffset !== 'at-end', 'the footer has given the place of the directory');
  return readDirectoryAt(source, header, { offset: header.directoryOffset, name: 'grain directory' });
}

/** The redundant grain directory, when the header has one. Errors as for the first. */
export async function readRedundantDirectory(
  source: ByteSource,
  header: SparseHeader,
): Promise<Uint32Array | undefined> {
  if (header.redundantDirectoryOffset === undefined) return undefined;
  return readDirectoryAt(source, header, {
    offset: header.redundantDirectoryOffset,
    name: 'redundant grain directory',
  });
}

async function readDirectoryAt(
  source: ByteSource,
  header: SparseHeader,
  place: { readonly offset: number; readonly name: string },
): Promise<Uint32Array> {
  const count = tableCount(header);
  assert(count <= MAX_DIRECTORY_ENTRIES, 'the size of the directory was checked with the header');
  if (overlapsHeader(header, place.offset)) {
    throw vmdkError('corrupt', `The ${place.name} lies over the header or the descriptor`, place.name, place.offset);
  }
  if (place.offset + count * 4 > source.size) {
    throw vmdkError(
      'truncated',
      `The ${place.name} reaches byte ${place.offset + count * 4}, but the file ends at byte ${source.size}`,
      place.name,
      place.offset,
    );
  }
  const directory = await readEntries(source, place.offset, count);
  refuseSharedTables(header, directory, place);
  return directory;
}

function refuseSharedTables(
  header: SparseHeader,
  directory: Uint32Array,
  place: { readonly offset: number; readonly name: string },
): void {
  const shared = sharedTables(Float64Array.from(directory), header.entriesPerTable);
  if (shared === undefined) return;
  const message = `${shared} entries of the ${place.name} name grain tables that others name too`;
  throw vmdkError('corrupt', message, place.name, place.offset);
}

/** Does the byte at `offset` lie in the header or in the embedded descriptor, where no table and no grain may be? */
export function overlapsHeader(header: SparseHeader, offset: number): boolean {
  if (offset < SPARSE_HEADER_SIZE) return true;
  return offset >= header.descriptorOffset && offset < header.descriptorOffset + header.descriptorSize;
}

/** The byte offset of a grain table from its directory entry. */
export function tableOffset(directoryEntry: number): number {
  return directoryEntry * SECTOR_SIZE;
}
