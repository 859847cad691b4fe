import { alignUp } from '@diskmorph/disk-image';
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
  /** Zeros are looked for in blocks of this size; 0 looks for none. */
  readonly zeroBlockSize?: number;
  readonly isZero: (bytes: Uint8Array) => boolean;
  readonly onPercent: (percent: number) => void;
}

const MIN_PIECE_SIZE = 256 * 1024;
/** Zeros are looked for in blocks of this size where none is asked for, or of a unit where that is larger. */
const MIN_BLOCK_SIZE = 4096;

/**
 * Copies every guest byte of the source over the target, in pieces. Zeros are left out where the target is zero already,
 * so that bitmaps of the target record no more than is written. The last piece ends with the disk.
 */
export async function copyGuest(request: CopyRequest): Promise<void> {
  const { source, target, targetIsZero } = request;
  const { zeroBlockSize = MIN_BLOCK_SIZE } = request;
  const blockSize = Math.max(zeroBlockSize, request.unitSize);
  const pieceSize = alignUp(Math.max(MIN_PIECE_SIZE, blockSize), blockSize);
  const buffer = new Uint8Array(pieceSize);
  for (let offset = 0; offset < source.virtualSize; offset += pieceSize) {
    const length = Math.min(pieceSize, source.virtualSize - offset);
    const bytes = buffer.subarray(0, length);
    const hasData = zeroBlockSize === 0 || (await holdsData(source, offset, length));
    if (hasData) await source.read(offset, bytes);
    const whole = { start: 0, end: length, isZero: zeroBlockSize > 0 };
    const runs = hasData && zeroBlockSize > 0 ? zeroRuns(bytes, blockSize, request.isZero) : [whole];
    for (const { start, end, isZero } of runs) {
      if (!isZero) await target.write(offset + start, bytes.subarray(start, end));
      else if (!targetIsZero) await target.zero(offset + start, end - start);
    }
    request.onPercent(((offset + length) / source.virtualSize) * 100);
  }
}

/** Neighbouring blocks that are alike in being zeros or not. */
interface BlockRun {
  readonly start: number;
  end: number;
  readonly isZero: boolean;
}

function zeroRuns(bytes: Uint8Array, blockSize: number, isZeroBlock: CopyRequest['isZero']): readonly BlockRun[] {
  const runs: BlockRun[] = [];
  for (let start = 0; start < bytes.length; start += blockSize) {
    const end = Math.min(start + blockSize, bytes.length);
    const isZero = isZeroBlock(bytes.subarray(start, end));
    const last = runs.at(-1);
    if (last?.isZero === isZero) last.end = end;
    else runs.push({ start, end, isZero });
  }
  return runs;
}

async function holdsData(source: DiskImage, offset: number, length: number): Promise<boolean> {
  for await (const { state } of source.extents({ offset, length })) if (state === 'data') return true;
  return false;
}
