import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import type { FieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { ImageInfo } from '../../image/disk-image.ts';
import type { DiskImage } from '../../image/disk-image.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { RecentTables } from '../../image/recent-tables.ts';
import { recentTables } from '../../image/recent-tables.ts';
import { sharedTables } from '../../image/shared-tables.ts';
import type { QedHeader } from './header.ts';
import { tableBytes } from './header.ts';

/** Bytes of L2 tables kept in memory, but always two tables. */
const L2_CACHE_BYTES = 16 * 2 ** 20;
/** Values of an L2 entry that are no offsets. QED specification, "L2 table entries". */
const UNALLOCATED = 0;
const ZERO_CLUSTER = 1;

interface QedTables {
  readonly header: QedHeader;
  readonly l1: FieldReader;
  /** The fields of an L2 table; undefined where L1 has none. */
  readonly l2: RecentTables<FieldReader | undefined>;
}

/** The disk behind a header that has been examined and found whole. Throws `truncated`. */
export async function openQed(source: ByteSource, header: QedHeader, info: ImageInfo): Promise<DiskImage> {
  const size = tableBytes(header);
  const place = { format: 'qed', structure: 'L1 table', offset: header.l1TableOffset };
  const l1 = fieldReader(await readBytes(source, header.l1TableOffset, size), 'little', place);
  refuseSharedTables(l1, size / 8, place);
  const isHole = holeTest(source);
  const load = async (index: number): Promise<FieldReader | undefined> => {
    const offset = l1.u64(index * 8, 'L2 table offset');
    if (offset === UNALLOCATED) return undefined;
    checkAligned(header, offset, place);
    if (isHole(offset, size)) return undefined;
    const bytes = await readBytes(source, offset, size);
    return fieldReader(bytes, 'little', { format: 'qed', structure: 'L2 table', offset });
  };
  const l2 = recentTables(Math.max(2, Math.floor(L2_CACHE_BYTES / size)), load);
  return mappedImage(source, info, qedMap({ header, l1, l2 }));
}

function qedMap(tables: QedTables): GuestMap {
  const { clusterSize } = tables.header;
  const entries = tableBytes(tables.header) / 8;
  const coverage = entries * clusterSize;
  return {
    async run(offset, end, signal) {
      const index = Math.floor(offset / coverage);
      const tableStart = index * coverage;
      const limit = Math.min(end, tableStart + coverage);
      const table = await tables.l2.get(index, signal);
      if (table === undefined) return { state: 'absent', length: limit - offset };
      return clusterRun(tables.header, table, { start: offset - tableStart, end: limit - tableStart });
    },
  };
}

/** The run from `start` on, both counted from the first byte that the table covers. */
function clusterRun(
  header: QedHeader,
  table: FieldReader,
  range: { readonly start: number; readonly end: number },
): GuestRun {
  const { clusterSize } = header;
  const first = Math.floor(range.start / clusterSize);
  const entry = table.u64(first * 8, 'cluster offset');
  const isData = entry > ZERO_CLUSTER;
  if (isData) checkAligned(header, entry, { format: 'qed', structure: 'L2 table' });
  let next = first + 1;
  const step = isData ? clusterSize : 0;
  while (next * clusterSize < range.end) {
    if (table.u64(next * 8, 'cluster offset') !== entry + (next - first) * step) break;
    next++;
  }
  const length = Math.min(range.end, next * clusterSize) - range.start;
  if (isData) return { state: 'data', length, hostOffset: entry + (range.start % clusterSize) };
  return { state: entry === ZERO_CLUSTER ? 'zero' : 'absent', length };
}

function refuseSharedTables(
  l1: FieldReader,
  entries: number,
  place: { readonly format: string; readonly structure: string; readonly offset: number },
): void {
  const offsets = Float64Array.from({ length: entries }, (_, index) => Number(l1.bits64(index * 8)));
  const shared = sharedTables(offsets, entries);
  if (shared === undefined) return;
  throw new ImageError('corrupt', `${shared} L1 entries name L2 tables that others name too`, place);
}

function checkAligned(
  header: QedHeader,
  offset: number,
  place: { readonly format: string; readonly structure: string },
): void {
  if (offset % header.clusterSize === 0) return;
  throw new ImageError('corrupt', `An entry points at byte ${offset}, not at the start of a cluster`, place);
}
