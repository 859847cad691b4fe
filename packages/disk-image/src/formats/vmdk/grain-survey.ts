import type { ByteSource } from '../../bytes/byte-source.ts';
import type { SparseHeader } from './sparse-header.ts';
import { isCompressed, tableSize } from './sparse-header.ts';
import { overlapsHeader, tableOffset } from './grain-directory.ts';
import { grainOffset, grainState, grainTables } from './grain-table.ts';
import { GRAIN_MARKER_SIZE } from './marker.ts';

/** What a walk over all grain tables counted. Offsets are byte offsets in the file. */
export interface GrainSurvey {
  readonly allocated: number;
  readonly total: number;
  /** Grains whose bytes the file does not have, and the first of their offsets. */
  readonly outside: number;
  readonly firstOutside: number | undefined;
  /** Grains over the header or the descriptor. */
  readonly misplaced: number;
  readonly firstMisplaced: number | undefined;
  /** Byte offset after the last grain; of compressed grains only their start is known. */
  readonly end: number;
}

/** Where grain tables lie, judged by the directory alone. */
export interface TableSurvey {
  /** Indexes of tables that lie wholly inside the file and not over the header. */
  readonly readable: readonly number[];
  readonly outside: number;
  readonly firstOutside: number | undefined;
  /** Tables over the header, the descriptor or another table. */
  readonly overlapping: number;
  readonly firstOverlapping: number | undefined;
}

/** Judges the entries of a grain directory. A table that two entries share is counted as overlapping, once each. */
export function surveyTables(source: ByteSource, header: SparseHeader, directory: Uint32Array): TableSurvey {
  const size = tableSize(header);
  const sorted = directory.slice().sort();
  const shared = new Set<number>();
  for (let i = 1; i < sorted.length; i++) {
    const previous = sorted[i - 1] ?? 0;
    const entry = sorted[i] ?? 0;
    if (previous !== 0 && tableOffset(entry - previous) < size) shared.add(entry).add(previous);
  }
  const readable: number[] = [];
  const outside: number[] = [];
  const overlapping: number[] = [];
  for (const [index, entry] of directory.entries()) {
    const offset = tableOffset(entry);
    if (entry === 0) continue;
    if (overlapsHeader(header, offset) || shared.has(entry)) overlapping.push(offset);
    else if (offset + size > source.size) outside.push(offset);
    else readable.push(index);
  }
  return {
    readable,
    outside: outside.length,
    firstOutside: outside[0],
    overlapping: overlapping.length,
    firstOverlapping: overlapping[0],
  };
}

/** Visits the entries of every table in `readable`, without those beyond the capacity. */
export async function eachTable(
  source: ByteSource,
  extent: { readonly header: SparseHeader; readonly directory: Uint32Array; readonly readable: readonly number[] },
  visit: (entries: Uint32Array, index: number) => void,
): Promise<void> {
  const { header } = extent;
  const grains = Math.ceil(header.capacity / header.grainSize);
  const tables = grainTables(source, header, extent.directory);
  for (const index of extent.readable) {
    const count = Math.min(header.entriesPerTable, grains - index * header.entriesPerTable);
    const entries = await tables.entries(index);
    if (entries !== undefined) visit(entries.subarray(0, count), index);
  }
}

/** Counts what the grain tables say, and what they promise but the file does not hold. Reads no grain. */
export async function surveyGrains(
  source: ByteSource,
  extent: { readonly header: SparseHeader; readonly directory: Uint32Array; readonly readable: readonly number[] },
): Promise<GrainSurvey> {
  const { header } = extent;
  const { capacity, grainSize, entriesPerTable } = header;
  const survey = { allocated: 0, outside: 0, misplaced: 0, end: 0 };
  let firstOutside: number | undefined;
  let firstMisplaced: number | undefined;
  await eachTable(source, extent, (entries, index) => {
    for (let place = 0; place < entries.length; place++) {
      const entry = entries[place] ?? 0;
      if (grainState(header, entry) !== 'data') continue;
      const offset = grainOffset(entry);
      const guestOffset = (index * entriesPerTable + place) * grainSize;
      const needed = isCompressed(header) ? GRAIN_MARKER_SIZE + 1 : Math.min(grainSize, capacity - guestOffset);
      survey.allocated++;
      if (overlapsHeader(header, offset)) {
        survey.misplaced++;
        firstMisplaced ??= offset;
      } else if (offset + needed > source.size) {
        survey.outside++;
        firstOutside ??= offset;
      } else survey.end = Math.max(survey.end, offset + needed);
    }
  });
  return { ...survey, total: Math.ceil(capacity / grainSize), firstOutside, firstMisplaced };
}
