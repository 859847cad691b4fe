import type { ByteSource } from '../bytes/byte-source.ts';
import { assert, ImageError, throwIfAborted } from '../errors.ts';
import type { DiskImage, ImageInfo } from './disk-image.ts';
import type { Extent, ExtentState, GuestRange } from './extent.ts';
import { normalizeExtents } from './extent.ts';
import { ownFile } from './file-holes.ts';

/** Guest bytes from one offset on that are of one kind. */
export interface GuestRun {
  readonly state: ExtentState;
  /** Bytes, at least 1. */
  readonly length: number;
  /** Where data that is stored verbatim begins in the file; its bytes follow each other. */
  readonly hostOffset?: number;
  /** Data that only `GuestMap.readEncoded` can give. */
  readonly compressed?: boolean;
}

/** How one format answers where guest bytes lie. */
export interface GuestMap {
  /** The run that begins at `offset` and ends at or before `end`, both inside the disk. */
  run(offset: number, end: number, signal?: AbortSignal): Promise<GuestRun>;
  /** Fills `into` from `offset`; the range lies inside one run whose `compressed` is true. */
  readEncoded?(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/**
 * A disk of one file from its map. Reads join runs that follow each other in the file. Data that the map places after
 * the end of the file is `truncated`, in `extents` as in `read`.
 */
export function mappedImage(source: ByteSource, info: ImageInfo, map: GuestMap): DiskImage {
  const disk: MappedDisk = { source, info, map };
  return {
    info,
    virtualSize: info.virtualSize,
    ...ownFile(source),
    extents(range) {
      checkRange(info, range);
      return normalizeExtents(range, joinedRuns(disk, range));
    },
    async read(offset, into, signal) {
      checkRange(info, { offset, length: into.length });
      throwIfAborted(signal);
      await readMapped(disk, { offset, into, signal });
    },
    close: () => source.close(),
  };
}

interface MappedDisk {
  readonly source: ByteSource;
  readonly info: ImageInfo;
  readonly map: GuestMap;
}

function checkRange(info: ImageInfo, { offset, length }: GuestRange): void {
  if (offset >= 0 && length >= 0 && offset + length <= info.virtualSize) return;
  throw new ImageError(
    'out_of_bounds',
    `Bytes ${offset} to ${offset + length} are outside a disk of ${info.virtualSize} bytes`,
    { format: info.format, structure: 'guest disk' },
  );
}

/** Runs that follow each other in guest and host space as one. */
async function* joinedRuns(disk: MappedDisk, range: GuestRange, signal?: AbortSignal): AsyncGenerator<Extent> {
  const end = range.offset + range.length;
  let pending: Extent | undefined;
  for (let position = range.offset; position < end;) {
    const { state, length, hostOffset, compressed = false } = await disk.map.run(position, end, signal);
    assert(length > 0 && position + length <= end, 'a run is not empty and ends inside the range');
    if (state === 'data' && hostOffset !== undefined) checkInFile(disk, hostOffset + length);
    const follows = pending?.hostOffset !== undefined && pending.hostOffset + pending.length === hostOffset;
    if (pending !== undefined && follows && pending.state === state) {
      pending = { ...pending, length: pending.length + length };
    } else {
      if (pending !== undefined) yield pending;
      pending = { offset: position, length, state, compressed, ...(hostOffset === undefined ? {} : { hostOffset }) };
    }
    position += length;
  }
  if (pending !== undefined) yield pending;
}

function checkInFile({ source, info }: MappedDisk, end: number): void {
  if (end <= source.size) return;
  throw new ImageError('truncated', `Guest data lies up to byte ${end}, but the file ends at ${source.size}`, {
    format: info.format,
    structure: 'guest data',
    offset: source.size,
  });
}

async function readMapped(
  disk: MappedDisk,
  request: { readonly offset: number; readonly into: Uint8Array; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { offset, into, signal } = request;
  for await (const run of joinedRuns(disk, { offset, length: into.length }, signal)) {
    const part = into.subarray(run.offset - offset, run.offset - offset + run.length);
    if (run.state !== 'data') part.fill(0);
    else if (run.hostOffset !== undefined) await disk.source.read(run.hostOffset, part, signal);
    else {
      assert(disk.map.readEncoded !== undefined, 'a map with encoded runs can read them');
      await disk.map.readEncoded(run.offset, part, signal);
    }
  }
}
