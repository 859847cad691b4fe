import type { Codecs } from '../../bytes/codecs.ts';
import { ImageError } from '../../errors.ts';
import { vmdkError } from './fault.ts';
import { checkGrain, grainOffset, grainState } from './grain-table.ts';
import { GRAIN_MARKER_SIZE, parseGrainMarker } from './marker.ts';
import type { SparseExtent, TablePiece } from './sparse-extent.ts';

/** Neighbouring grains are read in one span of at most this much: a piece of 256 KiB and then some. */
const MAX_SPAN: number = 2 ** 20;
/** Reads ahead for a grain whose end no neighbour tells: one that did not shrink, its marker, and its padding. */
const UNKNOWN_LENGTH_SLACK = 1024;

/** The most stored bytes of one grain, marker included: zlib adds far less than this to bytes that do not shrink. */
export function maxStoredGrain(grainSize: number): number {
  return 2 * grainSize + UNKNOWN_LENGTH_SLACK;
}

/** Grains `first` to `last` of a table, all with data, one after the other in the file. */
interface GrainSpan {
  readonly first: number;
  readonly last: number;
  readonly hostOffset: number;
  readonly length: number;
}

/** The memory that one read works in; a second read at the same time gets its own. */
interface Scratch {
  stored: Uint8Array;
  readonly grain: Uint8Array;
}

/**
 * Reads pieces of a table of compressed grains. Throws `corrupt` for a marker that belongs to another grain, for a
 * damaged stream and for one that gives too little, `truncated` for one cut off by the end of the file.
 * Virtual Disk Format 5.0, "Stream-Optimized Compressed".
 */
export function compressedGrains(
  extent: SparseExtent,
  codecs: Codecs,
): (piece: TablePiece, signal?: AbortSignal) => Promise<void> {
  let idle: Scratch | undefined;
  const { grainSize } = extent.header;
  return async (piece, signal) => {
    const scratch = idle ?? { stored: new Uint8Array(4 * grainSize), grain: new Uint8Array(grainSize) };
    idle = undefined;
    const reader: PieceReader = { extent, codecs, piece, scratch, signal };
    const lastGrain = Math.floor((piece.offset + piece.into.length - 1) / grainSize);
    for (let grain = Math.floor(piece.offset / grainSize); grain <= lastGrain;) {
      if (grainState(extent.header, piece.entries[grain] ?? 0) === 'data') {
        const span = grainSpan(extent, piece.entries, { first: grain, lastGrain });
        await readSpan(reader, span);
        grain = span.last + 1;
      } else {
        placeOf(reader, grain).part.fill(0);
        grain++;
      }
    }
    idle = scratch;
  };
}

interface PieceReader {
  readonly extent: SparseExtent;
  readonly codecs: Codecs;
  readonly piece: TablePiece;
  readonly scratch: Scratch;
  readonly signal: AbortSignal | undefined;
}

/** The part of `into` that the grain fills, and how far into the grain it begins. */
function placeOf(reader: PieceReader, grain: number): { readonly part: Uint8Array; readonly within: number } {
  const { grainSize } = reader.extent.header;
  const { piece } = reader;
  const start = Math.max(piece.offset, grain * grainSize);
  const end = Math.min(piece.offset + piece.into.length, (grain + 1) * grainSize);
  return { part: piece.into.subarray(start - piece.offset, end - piece.offset), within: start - grain * grainSize };
}

function grainSpan(
  extent: SparseExtent,
  entries: Uint32Array,
  range: { readonly first: number; readonly lastGrain: number },
): GrainSpan {
  const { header, source } = extent;
  const limit = maxStoredGrain(header.grainSize);
  const entry = entries[range.first] ?? 0;
  checkGrain(source, header, { entry, needed: GRAIN_MARKER_SIZE });
  const hostOffset = grainOffset(entry);
  let last = range.first;
  let length = 0;
  for (;;) {
    const gap = gapAfter(extent, entries, last);
    const known = gap > 0 && gap <= limit;
    length += known ? gap : header.grainSize + UNKNOWN_LENGTH_SLACK;
    if (!known || last === range.lastGrain || length + limit > MAX_SPAN) break;
    last++;
  }
  return { first: range.first, last, hostOffset, length: Math.min(length, source.size - hostOffset) };
}

/** Bytes from a grain to the next one of the table in the file; 0 when the next one lies elsewhere or has no data. */
function gapAfter(extent: SparseExtent, entries: Uint32Array, grain: number): number {
  const next = entries[grain + 1] ?? 0;
  if (grainState(extent.header, next) !== 'data' || grainOffset(next) >= extent.source.size) return 0;
  return Math.max(0, grainOffset(next) - grainOffset(entries[grain] ?? 0));
}

async function readSpan(reader: PieceReader, span: GrainSpan): Promise<void> {
  const { extent, scratch, piece } = reader;
  if (scratch.stored.length < span.length) scratch.stored = new Uint8Array(span.length);
  const stored = scratch.stored.subarray(0, span.length);
  await extent.source.read(span.hostOffset, stored, reader.signal);
  for (let grain = span.first; grain <= span.last; grain++) {
    const start = grainOffset(piece.entries[grain] ?? 0) - span.hostOffset;
    await readGrain(reader, grain, stored.subarray(start));
  }
}

/** `stored` begins with the grain's marker and may end before its data does. */
async function readGrain(reader: PieceReader, grain: number, stored: Uint8Array): Promise<void> {
  const { extent, piece } = reader;
  const { header, source } = extent;
  const hostOffset = grainOffset(piece.entries[grain] ?? 0);
  if (stored.length < GRAIN_MARKER_SIZE) throw cutOff(hostOffset);
  const marker = parseGrainMarker(new DataView(stored.buffer, stored.byteOffset, GRAIN_MARKER_SIZE), 0);
  const guestOffset = piece.base + grain * header.grainSize;
  if (marker.guestOffset !== guestOffset) {
    throw vmdkError(
      'corrupt',
      `The marker of the grain at guest byte ${guestOffset} belongs to another grain`,
      'grain marker',
      hostOffset,
    );
  }
  const end = GRAIN_MARKER_SIZE + marker.dataLength;
  if (marker.dataLength === 0 || end > maxStoredGrain(header.grainSize)) {
    throw vmdkError(
      'corrupt',
      `A compressed grain of ${marker.dataLength} bytes is outside 1 to ${maxStoredGrain(header.grainSize)}`,
      'grain marker',
      hostOffset,
    );
  }
  if (hostOffset + end > source.size) throw cutOff(hostOffset);
  let data = stored.subarray(GRAIN_MARKER_SIZE, end);
  if (data.length < marker.dataLength) {
    data = new Uint8Array(marker.dataLength);
    await source.read(hostOffset + GRAIN_MARKER_SIZE, data, reader.signal);
  }
  decodeGrain(reader, grain, data);
}

function cutOff(offset: number): Error {
  return vmdkError('truncated', 'The file ends inside a compressed grain', 'grain', offset);
}

function decodeGrain(reader: PieceReader, grain: number, data: Uint8Array): void {
  const { extent, piece, scratch } = reader;
  const { grainSize, capacity } = extent.header;
  const { part, within } = placeOf(reader, grain);
  const guestOffset = piece.base + grain * grainSize;
  // The last grain may reach beyond the disk, and writers differ in whether they store what lies there.
  const needed = Math.min(grainSize, capacity - guestOffset);
  const direct = part.length === grainSize;
  const output = direct ? part : scratch.grain;
  const hostOffset = grainOffset(piece.entries[grain] ?? 0);
  if (inflate(reader.codecs, { data, output, hostOffset }) < needed) {
    throw vmdkError(
      'corrupt',
      `The grain at guest byte ${guestOffset} decompresses to too few bytes`,
      'grain',
      hostOffset,
    );
  }
  if (!direct) part.set(output.subarray(within, within + part.length));
}

function inflate(
  codecs: Codecs,
  grain: { readonly data: Uint8Array; readonly output: Uint8Array; readonly hostOffset: number },
): number {
  try {
    return codecs.decompress('zlib', grain.data, grain.output);
  } catch (cause) {
    if (!(cause instanceof ImageError) || cause.code !== 'corrupt') throw cause;
    throw new ImageError('corrupt', 'A compressed grain is damaged', {
      format: 'vmdk',
      structure: 'grain',
      offset: grain.hostOffset,
      cause,
    });
  }
}
