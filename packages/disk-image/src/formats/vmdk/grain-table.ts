import type { ByteSource } from '../../bytes/byte-source.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import { vmdkError } from './fault.ts';
import { overlapsHeader, readEntries, tableOffset } from './grain-directory.ts';
import { SECTOR_SIZE } from './sector.ts';
import type { SparseHeader } from './sparse-header.ts';
import { hasZeroedGrains, isCompressed, tableSize } from './sparse-header.ts';

/** The grain tables of one extent, read as they are asked for; memory is bounded. */
export interface GrainTables {
  /**
   * The entries of grain table `index`, or undefined when the directory has none: all its grains are absent.
   * Throws `truncated` when the table reaches beyond the file, `corrupt` when it lies over the header.
   */
  entries(index: number): Promise<Uint32Array | undefined>;
}

/** Grain tables that follow each other in the file are read this many at a time (64 KiB of full tables). */
const TABLES_PER_READ = 32;
/** At most 512 KiB of tables are kept: 256 of them cover 8 GiB of guest bytes. */
const MAX_CACHED_READS = 8;

interface CachedTables {
  readonly first: number;
  readonly count: number;
  readonly entries: Uint32Array;
}

/** Reads grain tables through a small cache, oldest out first. `directory` as `readGrainDirectory` gives it. */
export function grainTables(source: ByteSource, header: SparseHeader, directory: Uint32Array): GrainTables {
  const cache: CachedTables[] = [];
  const stride = tableSize(header) / 4;
  const isHole = holeTest(source);
  const find = (index: number): Uint32Array | undefined => {
    for (const cached of cache) {
      if (index < cached.first || index >= cached.first + cached.count) continue;
      const start = (index - cached.first) * stride;
      return cached.entries.subarray(start, start + header.entriesPerTable);
    }
    return undefined;
  };
  return {
    async entries(index) {
      const found = find(index);
      if (found !== undefined) return found;
      const offset = tableOffset(directory[index] ?? 0);
      if (offset === 0 || isHole(offset, tableSize(header))) return undefined;
      const read = await readTables(source, header, { directory, index });
      cache.unshift(read);
      if (cache.length > MAX_CACHED_READS) cache.pop();
      return read.entries.subarray(0, header.entriesPerTable);
    },
  };
}

async function readTables(
  source: ByteSource,
  header: SparseHeader,
  wanted: { readonly directory: Uint32Array; readonly index: number },
): Promise<CachedTables> {
  const size = tableSize(header);
  const offset = tableOffset(wanted.directory[wanted.index] ?? 0);
  checkTable(source, header, offset);
  let count = 1;
  while (count < TABLES_PER_READ) {
    const next = wanted.directory[wanted.index + count];
    if (next === undefined || tableOffset(next) !== offset + count * size) break;
    if (offset + (count + 1) * size > source.size) break;
    count++;
  }
  return { first: wanted.index, count, entries: await readEntries(source, offset, (count * size) / 4) };
}

function checkTable(source: ByteSource, header: SparseHeader, offset: number): void {
  if (overlapsHeader(header, offset)) {
    throw vmdkError('corrupt', 'A grain table lies over the header or the descriptor', 'grain directory', offset);
  }
  if (offset + tableSize(header) <= source.size) return;
  throw vmdkError(
    'truncated',
    `A grain table reaches byte ${offset + tableSize(header)}, but the file ends at byte ${source.size}`,
    'grain directory',
    offset,
  );
}

/** What a grain table entry says of its grain. */
export type GrainState = 'absent' | 'zero' | 'data';

const ENTRY_ABSENT = 0;
/** A grain of zeros, in extents whose header allows it. */
export const ENTRY_ZERO = 1;

/** The state of a grain by its entry. Virtual Disk Format 5.0, "Grain Table": 0 is absent, 1 zeros where the flag says so. */
export function grainState(header: SparseHeader, entry: number): GrainState {
  if (entry === ENTRY_ABSENT) return 'absent';
  return entry === ENTRY_ZERO && hasZeroedGrains(header) ? 'zero' : 'data';
}

/** The byte offset of a grain that holds data. */
export function grainOffset(entry: number): number {
  return entry * SECTOR_SIZE;
}

/**
 * Throws unless the grain at `entry` lies inside the file with `needed` bytes: `corrupt` over the header,
 * `truncated` beyond the end.
 */
export function checkGrain(source: ByteSource, header: SparseHeader, grain: { entry: number; needed: number }): void {
  const offset = grainOffset(grain.entry);
  if (overlapsHeader(header, offset)) {
    throw vmdkError('corrupt', 'A grain lies over the header or the descriptor', 'grain table', offset);
  }
  if (offset + grain.needed <= source.size) return;
  throw vmdkError(
    'truncated',
    `A ${isCompressed(header) ? 'compressed ' : ''}grain reaches byte ${offset + grain.needed}, but the file ends at byte ${source.size}`,
    'grain table',
    offset,
  );
}
