import { throwIfAborted } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { GuestRange } from '../image/extent.ts';
import type { GuestWriter } from '../image/editor.ts';
import { alignDown, alignUp } from '../bytes/numbers.ts';
import type { ProgressListener } from './progress.ts';
import type { ByteRange } from './zero-blocks.ts';
import { progressMeter } from './progress.ts';

/** Most guest bytes that are looked at together. */
const PIECE_SIZE = 2 ** 21;

/** How a change of guest bytes reports and ends early. */
export interface ChangePorts {
  readonly now: () => number;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/**
 * Calls `visit` for every range of whole units, in pieces of bounded length, in which `layer` has an extent that
 * `wanted` accepts. Ranges ascend and do not overlap.
 */
export async function forEachWantedRange(
  layer: DiskImage,
  units: Pick<GuestWriter, 'unitSize' | 'virtualSize'>,
  ports: ChangePorts & { readonly wanted: (state: 'data' | 'zero' | 'absent') => boolean },
  visit: (range: GuestRange) => Promise<void>,
): Promise<void> {
  const end = Math.min(layer.virtualSize, units.virtualSize);
  const meter = progressMeter('copy', end, { now: ports.now, onProgress: ports.onProgress });
  const pieceSize = alignUp(PIECE_SIZE, units.unitSize);
  let done = 0;
  for await (const extent of layer.extents({ offset: 0, length: end })) {
    throwIfAborted(ports.signal);
    if (!ports.wanted(extent.state)) continue;
    const rangeEnd = Math.min(alignUp(extent.offset + extent.length, units.unitSize), units.virtualSize);
    let at = Math.max(done, alignDown(extent.offset, units.unitSize));
    for (; at < rangeEnd; at = Math.min(rangeEnd, at + pieceSize)) {
      throwIfAborted(ports.signal);
      await visit({ offset: at, length: Math.min(pieceSize, rangeEnd - at) });
      meter.update(Math.min(at + pieceSize, end));
    }
    done = Math.max(done, rangeEnd);
  }
  meter.finish();
}

/** Fills `into` with what `image` holds from `offset` on, but in the ranges alone; elsewhere with zeros. */
export async function readRanges(
  image: DiskImage,
  piece: { readonly offset: number; readonly into: Uint8Array; readonly ranges: readonly ByteRange[] },
  signal?: AbortSignal,
): Promise<void> {
  const { offset, into, ranges } = piece;
  let done = 0;
  for (const { start, end } of ranges) {
    into.fill(0, done, start);
    await readPadded(image, offset + start, into.subarray(start, end), signal);
    done = end;
  }
  into.fill(0, done);
}

/** Fills `into` from `image`, with zeros behind its end. */
export async function readPadded(
  image: DiskImage | undefined,
  offset: number,
  into: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const inside = image === undefined ? 0 : Math.max(0, Math.min(into.length, image.virtualSize - offset));
  if (inside > 0) await image?.read(offset, into.subarray(0, inside), signal);
  into.fill(0, inside);
}
