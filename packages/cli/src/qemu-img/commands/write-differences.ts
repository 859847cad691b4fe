import type { DiskImage, GuestWriter } from '@diskmorph/disk-image';

/** What an overlay is to hold. */
export interface Differences {
  /** What the overlay is to show. */
  readonly source: DiskImage;
  /** What it would show if it stored nothing. */
  readonly base: DiskImage;
  readonly writer: GuestWriter;
  readonly isZero: (bytes: Uint8Array) => boolean;
  readonly onPercent: (percent: number) => void;
}

const MIN_PIECE_SIZE = 256 * 1024;

/** Writes every unit of the source that differs from the base; units of zeros are stored as zeros. */
export async function writeDifferences(request: Differences): Promise<void> {
  const { source, base, writer } = request;
  const pieceSize = Math.max(MIN_PIECE_SIZE, writer.unitSize);
  const wanted = new Uint8Array(pieceSize);
  const shown = new Uint8Array(pieceSize);
  for (let offset = 0; offset < writer.virtualSize; offset += pieceSize) {
    const length = Math.min(pieceSize, writer.virtualSize - offset);
    await readPadded(source, offset, wanted.subarray(0, length));
    await readPadded(base, offset, shown.subarray(0, length));
    for (let at = 0; at < length; at += writer.unitSize) {
      const end = Math.min(at + writer.unitSize, length);
      const unit = wanted.subarray(at, end);
      if (same(unit, shown.subarray(at, end))) continue;
      if (request.isZero(unit)) await writer.zero(offset + at, end - at);
      else await writer.write(offset + at, unit);
    }
    request.onPercent(((offset + length) / writer.virtualSize) * 100);
  }
}

/** Guest bytes of the disk; zeros beyond its end. */
export async function readPadded(disk: DiskImage, offset: number, into: Uint8Array): Promise<void> {
  const inside = Math.max(0, Math.min(into.length, disk.virtualSize - offset));
  if (inside > 0) await disk.read(offset, into.subarray(0, inside));
  into.fill(0, inside);
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
