import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import type { Codecs } from '../../bytes/codecs.ts';
import type { Extent, GuestRange } from '../../image/extent.ts';
import { compressedGrains } from './compressed-grain.ts';
import type { ExtentReader } from './extent-reader.ts';
import { refuseFaults, vmdkError } from './fault.ts';
import { readGrainDirectory } from './grain-directory.ts';
import type { GrainTables } from './grain-table.ts';
import { checkGrain, grainOffset, grainState, grainTables } from './grain-table.ts';
import { GRAIN_MARKER_SIZE, readFooter } from './marker.ts';
import type { SparseHeader } from './sparse-header.ts';
import { headerFaults, isCompressed, parseSparseHeader, SPARSE_HEADER_SIZE } from './sparse-header.ts';

/** A sparse extent whose header has passed all checks. */
export interface SparseExtent {
  readonly source: ByteSource;
  readonly header: SparseHeader;
  readonly tables: GrainTables;
}

/** A run of guest bytes inside one grain table: `offset` counts from the first byte that the table covers. */
export interface TablePiece {
  readonly entries: Uint32Array;
  /** Guest offset in the extent of the first byte that the table covers. */
  readonly base: number;
  readonly offset: number;
  readonly into: Uint8Array;
}

/** The header at the start of the file, not judged. Throws `truncated` and `wrong_format`. */
export async function readSparseHeader(source: ByteSource): Promise<SparseHeader> {
  if (source.size < SPARSE_HEADER_SIZE) {
    throw vmdkError(
      'truncated',
      `The file ends at byte ${source.size}, inside the sparse extent header`,
      'sparse extent header',
      source.size,
    );
  }
  return parseSparseHeader(await readBytes(source, 0, SPARSE_HEADER_SIZE), 0);
}

/** Follows a header to its footer where it says so; what counts from then on. */
export async function effectiveHeader(source: ByteSource, header: SparseHeader): Promise<SparseHeader> {
  return header.directoryOffset === 'at-end' ? readFooter(source, header) : header;
}

/**
 * Opens the extent that `header` begins. Throws what the header deserves: `unsupported`, `corrupt`, `truncated`,
 * `unsafe`.
 */
export async function openSparseExtent(
  source: ByteSource,
  header: SparseHeader,
  codecs: Codecs,
): Promise<ExtentReader & SparseExtent> {
  refuseFaults(headerFaults(header));
  const effective = await effectiveHeader(source, header);
  const tables = grainTables(source, effective, await readGrainDirectory(source, effective));
  const extent: SparseExtent = { source, header: effective, tables };
  const readPiece = isCompressed(effective)
    ? compressedGrains(extent, codecs)
    : (piece: TablePiece, signal?: AbortSignal) => readPlainGrains(extent, piece, signal);
  return {
    ...extent,
    length: effective.capacity,
    extents: (range) => sparseExtents(extent, range),
    async read(offset, into, signal) {
      const span = effective.grainSize * effective.entriesPerTable;
      for (let done = 0; done < into.length;) {
        const index = Math.floor((offset + done) / span);
        const length = Math.min(into.length - done, (index + 1) * span - (offset + done));
        const part = into.subarray(done, done + length);
        const entries = await tables.entries(index);
        if (entries === undefined) part.fill(0);
        else await readPiece({ entries, base: index * span, offset: offset + done - index * span, into: part }, signal);
        done += length;
      }
    },
    close: () => source.close(),
  };
}

/** Grains that follow each other in the file are read at once, straight into their place. */
async function readPlainGrains(extent: SparseExtent, piece: TablePiece, signal?: AbortSignal): Promise<void> {
  const { grainSize } = extent.header;
  const end = piece.offset + piece.into.length;
  for (let position = piece.offset; position < end;) {
    const run = plainRun(extent.header, piece.entries, { start: position, end });
    const part = piece.into.subarray(position - piece.offset, run.end - piece.offset);
    if (run.entry === undefined) part.fill(0);
    else {
      const within = position % grainSize;
      checkGrain(extent.source, extent.header, { entry: run.entry, needed: within + part.length });
      await extent.source.read(grainOffset(run.entry) + within, part, signal);
    }
    position = run.end;
  }
}

/** The grains from `start` on that are one piece of the file, or all empty (no `entry`); `end` counts as `start` does. */
function plainRun(
  header: SparseHeader,
  entries: Uint32Array,
  range: { readonly start: number; readonly end: number },
): { readonly entry: number | undefined; readonly end: number } {
  const first = Math.floor(range.start / header.grainSize);
  const entry = entries[first] ?? 0;
  const data = grainState(header, entry) === 'data';
  const step = header.grainSize / 512;
  let next = first + 1;
  while (next * header.grainSize < range.end) {
    const following = entries[next] ?? 0;
    if (data ? following !== entry + (next - first) * step : grainState(header, following) === 'data') break;
    next++;
  }
  return { entry: data ? entry : undefined, end: Math.min(range.end, next * header.grainSize) };
}

async function* sparseExtents(extent: SparseExtent, range: GuestRange): AsyncGenerator<Extent> {
  const { header } = extent;
  const span = header.grainSize * header.entriesPerTable;
  const end = range.offset + range.length;
  for (let position = range.offset; position < end;) {
    const index = Math.floor(position / span);
    const entries = await extent.tables.entries(index);
    const stop = Math.min(end, (index + 1) * span);
    if (entries === undefined) {
      yield { offset: position, length: stop - position, state: 'absent', compressed: false };
    } else {
      yield* tableExtents(extent, entries, { base: index * span, start: position, end: stop });
    }
    position = stop;
  }
}

function* tableExtents(
  extent: SparseExtent,
  entries: Uint32Array,
  range: { readonly base: number; readonly start: number; readonly end: number },
): Generator<Extent> {
  const { header, source } = extent;
  const compressed = isCompressed(header);
  for (let position = range.start; position < range.end;) {
    const grain = Math.floor((position - range.base) / header.grainSize);
    const entry = entries[grain] ?? 0;
    const state = grainState(header, entry);
    let next = grain + 1;
    while (state !== 'data' && range.base + next * header.grainSize < range.end && entries[next] === entry) next++;
    const stop = Math.min(range.end, range.base + next * header.grainSize);
    const within = (position - range.base) % header.grainSize;
    if (state === 'data') {
      checkGrain(source, header, { entry, needed: compressed ? GRAIN_MARKER_SIZE : within + stop - position });
    }
    const common = { offset: position, length: stop - position, state, compressed: state === 'data' && compressed };
    yield state === 'data' && !compressed ? { ...common, hostOffset: grainOffset(entry) + within } : common;
    position = stop;
  }
}
