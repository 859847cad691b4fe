import type { DiskImage } from '@diskmorph/disk-image';

/** Where guest bytes are written one after the other. */
export interface GuestTarget {
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes the range zeros, whatever was there. */
  zero(offset: number, length: number): Promise<void>;
}

/** How a disk is copied over what is there. */
export interface CopyRequest {
  readonly source: DiskImage;
  readonly target: GuestTarget;
  /** Guest bytes that the target takes together. */
  readonly unitSize: number;
  /** The target reads as zeros already. */
  readonly targetIsZero: boolean;
  readonly isZero: (bytes: Uint8Array) => boolean;
  readonly onPercent: (percent: number) => void;
}

const MIN_PIECE_SIZE = 256 * 1024;

/**
 * Copies every guest byte of the source over the target, in pieces. Zeros are left out where the target is zero already.
 * The last piece ends with the disk.
 */
export async function copyGuest(request: CopyRequest): Promise<void> {
  const { source, target, targetIsZero } = request;
  const pieceSize = Math.max(MIN_PIECE_SIZE, request.unitSize);
  const buffer = new Uint8Array(pieceSize);
  for (let offset = 0; offset < source.virtualSize; offset += pieceSize) {
    const length = Math.min(pieceSize, source.virtualSize - offset);
    const bytes = buffer.subarray(0, length);
    const hasData = await holdsData(source, offset, length);
    if (hasData) await source.read(offset, bytes);
    if (hasData && !request.isZero(bytes)) await target.write(offset, bytes);
    else if (!targetIsZero) await target.zero(offset, length);
    request.onPercent(((offset + length) / source.virtualSize) * 100);
  }
}

async function holdsData(source: DiskImage, offset: number, length: number): Promise<boolean> {
  for await (const { state } of source.extents({ offset, length })) if (state === 'data') return true;
  return false;
}
