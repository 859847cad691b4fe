import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import type { Codecs } from '../../bytes/codecs.ts';
import { holeTest } from '../../bytes/data-ranges.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import type { FieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { RecentTables } from '../../image/recent-tables.ts';
import { recentTables } from '../../image/recent-tables.ts';
import { sharedTables } from '../../image/shared-tables.ts';
import type { QcowHeader } from './header.ts';
import { l1Bytes } from './header.ts';

/** L2 tables kept in memory: at most 64 KiB each. */
const MAX_TABLES = 128;
/** "The image is compressed": the highest bit of an L2 entry. The QCOW Image Format, "2-Level Lookups". */
const COMPRESSED = 1n << 63n;

interface QcowTables {
  readonly source: ByteSource;
  readonly header: QcowHeader;
  readonly clusterSize: number;
  /** For each L2 table its place in the file, 0 for none. */
  readonly l1: Float64Array;
  readonly l2: RecentTables<FieldReader | undefined>;
}

/** The disk behind a header that has been examined and found whole. Throws `truncated`. */
export async function openQcow(
  source: ByteSource,
  header: QcowHeader,
  about: { readonly info: ImageInfo; readonly codecs: Codecs },
): Promise<DiskImage> {
  const place = { format: 'qcow', structure: 'L1 table', offset: header.l1TableOffset };
  const length = 2 ** header.l2Bits * 8;
  const offsets = readL1(await readBytes(source, header.l1TableOffset, l1Bytes(header)), header);
  const shared = sharedTables(offsets, length / 8);
  if (shared !== undefined) {
    throw new ImageError('corrupt', `${shared} L1 entries name L2 tables that others name too`, place);
  }
  const isHole = holeTest(source);
  const load = async (index: number): Promise<FieldReader | undefined> => {
    const offset = offsets[index] ?? 0;
    if (offset === 0) return undefined;
    checkInside(source.size, offset, length);
    if (isHole(offset, length)) return undefined;
    return fieldReader(await readBytes(source, offset, length), 'big', {
      format: 'qcow',
      structure: 'L2 table',
      offset,
    });
  };
  const l2 = recentTables(MAX_TABLES, load);
  const tables: QcowTables = { source, header, clusterSize: 2 ** header.clusterBits, l1: offsets, l2 };
  return mappedImage(source, about.info, qcowMap(tables, about.codecs));
}

function qcowMap(tables: QcowTables, codecs: Codecs): GuestMap {
  const { clusterSize, header } = tables;
  const coverage = clusterSize * 2 ** header.l2Bits;
  const decoded = { cluster: -1, bytes: new Uint8Array(0) };
  return {
    async run(offset, end, signal) {
      const tableStart = offset - (offset % coverage);
      const limit = Math.min(end, tableStart + coverage);
      const table = await tables.l2.get(tableStart / coverage, signal);
      if (table === undefined) {
        const absent = absentEnd({ l1: tables.l1, coverage }, tableStart / coverage, end);
        return { state: 'absent', length: absent - offset };
      }
      return clusterRun(table, clusterSize, { start: offset - tableStart, end: limit - tableStart });
    },
    async readEncoded(offset, into, signal) {
      for (let done = 0; done < into.length;) {
        const cluster = Math.floor((offset + done) / clusterSize);
        if (decoded.cluster !== cluster) {
          const bytes = await decodeCluster(tables, cluster, codecs, signal);
          Object.assign(decoded, { cluster, bytes });
        }
        const within = (offset + done) % clusterSize;
        const length = Math.min(clusterSize - within, into.length - done);
        into.set(decoded.bytes.subarray(within, within + length), done);
        done += length;
      }
    },
  };
}

/** The offsets of the L2 tables. Throws `corrupt` for one above 2^53. */
function readL1(bytes: Uint8Array, header: QcowHeader): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = new Float64Array(bytes.length / 8);
  for (let index = 0; index < offsets.length; index++) {
    const offset = view.getUint32(index * 8) * 2 ** 32 + view.getUint32(index * 8 + 4);
    if (offset > Number.MAX_SAFE_INTEGER) {
      const place = { format: 'qcow', structure: 'L1 table', offset: header.l1TableOffset + index * 8 };
      throw new ImageError('corrupt', `L2 table offset is ${offset}, larger than any possible file`, place);
    }
    offsets[index] = offset;
  }
  return offsets;
}

/** Where the guest bytes end that have no L2 table from entry `index` on, at most `end`. */
function absentEnd(
  { l1, coverage }: { readonly l1: Float64Array; readonly coverage: number },
  index: number,
  end: number,
): number {
  let next = index + 1;
  while (next < l1.length && next * coverage < end && l1[next] === 0) next++;
  return Math.min(end, next * coverage);
}

/** The run from `start` on, both counted from the first byte that the table covers. */
function clusterRun(
  table: FieldReader,
  clusterSize: number,
  range: { readonly start: number; readonly end: number },
): GuestRun {
  const first = Math.floor(range.start / clusterSize);
  const entry = table.bits64(first * 8);
  const compressed = (entry & COMPRESSED) !== 0n;
  const step = compressed || entry === 0n ? 0n : BigInt(clusterSize);
  let next = first + 1;
  while (next * clusterSize < range.end) {
    const following = table.bits64(next * 8);
    const goes = compressed ? (following & COMPRESSED) !== 0n : following === entry + BigInt(next - first) * step;
    if (!goes) break;
    next++;
  }
  const length = Math.min(range.end, next * clusterSize) - range.start;
  if (compressed) return { state: 'data', length, compressed };
  if (entry === 0n) return { state: 'absent', length };
  const hostOffset = table.u64(first * 8, 'cluster offset');
  if (hostOffset % 512 !== 0) throw tableError('corrupt', `A cluster lies at byte ${hostOffset}, not on a sector`);
  return { state: 'data', length, hostOffset: hostOffset + (range.start % clusterSize) };
}

/** A compressed cluster: a bare deflate stream. Its entry holds length (above `63 - cluster_bits`) and byte offset. */
async function decodeCluster(
  tables: QcowTables,
  cluster: number,
  codecs: Codecs,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { header, clusterSize, source } = tables;
  const perTable = 2 ** header.l2Bits;
  const table = await tables.l2.get(Math.floor(cluster / perTable), signal);
  const entry = table?.bits64((cluster % perTable) * 8) ?? 0n;
  const lengthShift = BigInt(63 - header.clusterBits);
  const hostOffset = Number(entry & ((1n << lengthShift) - 1n));
  const length = Number((entry >> lengthShift) & BigInt(clusterSize - 1));
  checkInside(source.size, hostOffset, length);
  const input = new Uint8Array(length);
  await source.read(hostOffset, input, signal);
  const bytes = new Uint8Array(clusterSize);
  if (codecs.decompress('deflate', input, bytes) === clusterSize) return bytes;
  throw tableError('corrupt', `The compressed cluster at byte ${hostOffset} does not hold a whole cluster`);
}

function tableError(code: 'corrupt' | 'truncated', message: string): ImageError {
  return new ImageError(code, message, { format: 'qcow', structure: 'L2 table' });
}
