import type { ByteSink } from '../bytes/byte-source.ts';
import { alignDown, alignUp } from '../bytes/numbers.ts';
import { assert } from '../errors.ts';
import type { HostBlock, PlacedRun, StoredUnit, TargetFile, TargetLayout, UnitEncoder } from '../image/target.ts';
import { appends } from '../image/target.ts';
import type { BaseChunk } from './base-chunk.ts';
import type { DirectBytes } from './direct-bytes.ts';
import type { PlacementCursor } from './lane-control.ts';
import type { ZeroBlocks } from './zero-blocks.ts';

/** Puts the chunk in one guest buffer where the layout says. Reused for chunk after chunk: encode, place, write. */
export interface ChunkPlacer {
  /** True when chunks must be placed in guest order because units are appended. */
  readonly ordered: boolean;
  /** True when the bytes must be written in the same order too. */
  readonly writesInTurn: boolean;
  /** Encodes the units of the chunk at `guestOffset`; the scan of its zeros has been done. */
  encode(guestOffset: number, length: number): void;
  /** Only for ordered chunks: gives every encoded unit its host offset. */
  place(cursor: PlacementCursor): { readonly cursor: PlacementCursor; readonly runs: readonly PlacedRun[] };
  /** Writes what `place` placed, or the data ranges of a `fixed` file. */
  write(): Promise<void>;
}

/** What a placer works on. */
export interface PlacerPorts {
  readonly layout: TargetLayout;
  readonly encoder: UnitEncoder | undefined;
  readonly sinks: readonly ByteSink[];
  /** The whole chunk, zero-padded. */
  readonly guest: Uint8Array;
  readonly zeros: ZeroBlocks;
  /** What the target stands on; its chunk has been loaded before `encode`. */
  readonly base: BaseChunk | undefined;
  /** Writes what of the chunk may go straight from the source's file, where some may. */
  readonly direct?: DirectBytes | undefined;
}

/** The placer for a layout; all files that hold guest bytes have the same placement. */
export function chunkPlacer(ports: PlacerPorts): ChunkPlacer {
  const { layout } = ports;
  const holding = layout.files.filter((file) => file.guestLength > 0);
  assert(
    holding.every((file) => (file.placement === 'append') === appends(layout)),
    'the files of a layout are placed alike',
  );
  return appends(layout) ? appendingPlacer(ports) : fixedPlacer(ports);
}

function fileIndexOf(layout: TargetLayout, guestOffset: number): number {
  const index = layout.files.findIndex(
    (file) => guestOffset >= file.guestOffset && guestOffset < file.guestOffset + file.guestLength,
  );
  assert(index >= 0, 'every guest byte has its file');
  return index;
}

function fileAndSink(ports: PlacerPorts, index: number): { readonly file: TargetFile; readonly sink: ByteSink } {
  const file = ports.layout.files[index];
  const sink = ports.sinks[index];
  assert(file !== undefined && sink !== undefined, 'every file of the layout has its sink');
  return { file, sink };
}

function fixedPlacer(ports: PlacerPorts): ChunkPlacer {
  const write = reserving(guestWriter(ports));
  let chunkOffset = 0;
  let chunkLength = 0;
  return {
    ordered: false,
    writesInTurn: false,
    encode(guestOffset, length) {
      chunkOffset = guestOffset;
      chunkLength = length;
    },
    place: () => {
      throw new Error('assertion failed: a fixed layout places nothing');
    },
    async write() {
      const { file, sink } = fileAndSink(ports, fileIndexOf(ports.layout, chunkOffset));
      const base = file.hostOffset + (chunkOffset - file.guestOffset);
      let end = 0;
      for (const range of ports.zeros.dataRanges()) {
        if (sink.deviceSize !== undefined && range.start > end) await sink.zero(base + end, range.start - end);
        await write(sink, base + range.start, ports.guest.subarray(range.start, range.end));
        end = range.end;
      }
      if (sink.deviceSize !== undefined && chunkLength > end) await sink.zero(base + end, chunkLength - end);
    },
  };
}

/** Space is taken before a write of so many bytes or more; for less it would cost what it saves. */
const LEAST_RESERVED = 128 * 1024;

type WriteBytes = (sink: ByteSink, offset: number, bytes: Uint8Array) => Promise<void>;

/** Writes views of the guest buffer; those of what goes directly say only which bytes they are. */
function guestWriter({ guest, direct }: PlacerPorts): WriteBytes {
  return (sink, offset, bytes) => {
    if (direct === undefined || bytes.buffer !== guest.buffer) return sink.write(offset, bytes);
    const start = bytes.byteOffset - guest.byteOffset;
    return direct.write(sink, offset, { start, end: start + bytes.length });
  };
}

/** Takes the space first: for places around which a hole may stay. */
function reserving(write: WriteBytes): WriteBytes {
  return (sink, offset, bytes) => {
    if (bytes.length >= LEAST_RESERVED) sink.reserve?.(offset, bytes.length);
    return write(sink, offset, bytes);
  };
}

/** An encoded unit of the chunk, waiting for its place. */
interface EncodedUnit extends StoredUnit {
  readonly guestOffset: number;
  /** Its bytes: a view of the guest buffer or of the encode buffer. */
  readonly bytes: Uint8Array;
  hostOffset: number;
}

function appendingPlacer(ports: PlacerPorts): ChunkPlacer {
  const { layout, guest, zeros } = ports;
  const encoder = ports.encoder;
  assert(encoder !== undefined, 'a layout that appends has an encoder');
  const isVerbatim = encoder.maxStoredLength === 0;
  const unitSize = layout.unitSize;
  const encoded = new Uint8Array(encoder.maxStoredLength * (guest.length / unitSize));
  const units: EncodedUnit[] = [];
  const write = guestWriter(ports);
  let fileIndex = 0;
  return {
    ordered: true,
    writesInTurn: layout.ascending,
    encode(guestOffset, length) {
      fileIndex = fileIndexOf(layout, guestOffset);
      units.length = 0;
      let used = 0;
      for (let start = 0; start < length; start += unitSize) {
        const hasData = zeros.hasData(start, start + unitSize);
        if (ports.base === undefined ? !hasData : ports.base.isSame(start, start + unitSize)) continue;
        if (!hasData && layout.overlay?.zeros === 'marked') {
          units.push({ ...MARKED_ZEROS, guestOffset: guestOffset + start });
          continue;
        }
        const unit = guest.subarray(start, start + unitSize);
        const room = isVerbatim ? encoded : encoded.subarray(used, used + encoder.maxStoredLength);
        const stored = encoder.encode(unit, guestOffset + start, room);
        const bytes = stored.verbatim ? unit : encoded.subarray(used, used + stored.length);
        if (!stored.verbatim) used += stored.length;
        units.push({ ...stored, guestOffset: guestOffset + start, bytes, hostOffset: 0 });
      }
    },
    place(cursor) {
      const { file, sink } = fileAndSink(ports, fileIndex);
      const start = cursor.file === fileIndex ? cursor : { file: fileIndex, hostOffset: file.hostOffset, block: -1 };
      const next = file.block === undefined ? placeUnits(units, start) : placeInBlocks(units, start, file.block);
      if (isVerbatim && file.block === undefined) reserveAhead(sink, file, [start.hostOffset, next.hostOffset]);
      return { cursor: next, runs: placedRuns(units, fileIndex, unitSize) };
    },
    write() {
      const { file, sink } = fileAndSink(ports, fileIndex);
      return writeUnits(units, sink, isVerbatim && file.block !== undefined ? reserving(write) : write);
    },
  };
}

/** So far ahead space is taken where units are appended; what is left of it in the end is cut off with the file's end. */
const RESERVED_AHEAD = 16 * 2 ** 20;

/** Takes the next space when appending from `start` to `end` goes beyond what has been taken. */
function reserveAhead(sink: ByteSink, file: TargetFile, [start, end]: readonly [number, number]): void {
  const taken = start === file.hostOffset ? start : alignUp(start, RESERVED_AHEAD);
  if (end > taken) sink.reserve?.(taken, alignUp(end, RESERVED_AHEAD) - taken);
}

const MARKED_ZEROS: Omit<EncodedUnit, 'guestOffset'> = {
  verbatim: true,
  length: 0,
  alignment: 1,
  detail: 0,
  bytes: new Uint8Array(),
  hostOffset: 0,
};

/** Each unit behind the one before. */
function placeUnits(units: readonly EncodedUnit[], start: PlacementCursor): PlacementCursor {
  let { hostOffset } = start;
  for (const unit of units) {
    unit.hostOffset = alignUp(hostOffset, unit.alignment);
    hostOffset = unit.hostOffset + unit.length;
  }
  return { ...start, hostOffset };
}

/** Each unit at its place in its block; a block that has no place yet gets the next one. */
function placeInBlocks(units: readonly EncodedUnit[], start: PlacementCursor, layout: HostBlock): PlacementCursor {
  let { hostOffset, block } = start;
  for (const unit of units) {
    assert(unit.verbatim, 'units in blocks are stored as they are');
    const guestBlock = alignDown(unit.guestOffset, layout.size);
    if (guestBlock !== block) {
      block = guestBlock;
      hostOffset = alignUp(hostOffset, layout.alignment) + layout.prefix + layout.size;
    }
    unit.hostOffset = hostOffset - layout.size + (unit.guestOffset - guestBlock);
  }
  return { ...start, hostOffset, block };
}

function placedRuns(units: readonly EncodedUnit[], file: number, unitSize: number): PlacedRun[] {
  const runs: PlacedRun[] = [];
  for (const unit of units) {
    const last = runs.at(-1);
    if (last !== undefined && unit.verbatim && continuesRun(last, unit, unitSize)) {
      runs[runs.length - 1] = { ...last, unitCount: last.unitCount + 1 };
    } else {
      const { guestOffset, hostOffset, detail } = unit;
      runs.push({ file, guestOffset, unitCount: 1, hostOffset, storedLength: unit.length, detail });
    }
  }
  return runs;
}

function continuesRun(run: PlacedRun, unit: EncodedUnit, unitSize: number): boolean {
  if (run.guestOffset + run.unitCount * unitSize !== unit.guestOffset) return false;
  if (unit.length === 0) return run.storedLength === 0;
  return (
    run.storedLength === unitSize &&
    run.detail === unit.detail &&
    run.hostOffset + run.unitCount * unitSize === unit.hostOffset
  );
}

/** Writes the units, those that lie together in memory and in the file with one call. */
async function writeUnits(units: readonly EncodedUnit[], sink: ByteSink, write: WriteBytes): Promise<void> {
  for (let i = 0; i < units.length;) {
    const first = units[i];
    assert(first !== undefined, 'the unit is there');
    let length = first.length;
    if (length === 0) {
      i++;
      continue;
    }
    for (i++; i < units.length; i++) {
      const next = units[i];
      assert(next !== undefined, 'the unit is there');
      const together =
        next.bytes.buffer === first.bytes.buffer &&
        next.bytes.byteOffset === first.bytes.byteOffset + length &&
        next.hostOffset === first.hostOffset + length;
      if (!together) break;
      length += next.length;
    }
    await write(sink, first.hostOffset, new Uint8Array(first.bytes.buffer, first.bytes.byteOffset, length));
  }
}
