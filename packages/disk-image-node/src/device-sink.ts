import type { ByteSink } from '@diskmorph/disk-image';
import { alignDown, alignUp, ImageError } from '@diskmorph/disk-image';

/** What a device is asked through: an open file descriptor, or something in its place. */
export interface DeviceCalls {
  readonly size: number;
  /** Writes all bytes at the offset. */
  write(offset: number, bytes: Uint8Array): void;
  /** Makes the range zeros, both ends multiples of 4096; false when it cannot. */
  zero(offset: number, length: number): boolean;
}

/** A multiple of every device's sector. */
const ZERO_ALIGNMENT = 4096;
const ZERO_PIECE: Uint8Array = new Uint8Array(2 ** 20);

/**
 * The part of a sink that is another on a device: its size stays, and nothing is written behind it: `write` and
 * `truncate` throw `io` with both sizes.
 */
export function deviceSink(device: DeviceCalls): Pick<ByteSink, 'deviceSize' | 'write' | 'zero' | 'truncate'> {
  const checkRoom = (end: number): void => {
    if (end > device.size) throw noRoom(device.size, end);
  };
  return {
    deviceSize: device.size,
    async write(offset, bytes) {
      checkRoom(offset + bytes.length);
      device.write(offset, bytes);
    },
    async zero(offset, length) {
      checkRoom(offset + length);
      zeroRange(device, offset, offset + length);
    },
    async truncate(size) {
      checkRoom(size);
    },
  };
}

/** Zeros by the device where it can, else written. */
function zeroRange(device: DeviceCalls, start: number, end: number): void {
  const from = Math.min(alignUp(start, ZERO_ALIGNMENT), end);
  const to = Math.max(alignDown(end, ZERO_ALIGNMENT), from);
  const isDone = to > from && device.zero(from, to - from);
  writeZeros(device, start, isDone ? from : end);
  if (isDone) writeZeros(device, to, end);
}

function writeZeros(device: DeviceCalls, start: number, end: number): void {
  for (let at = start; at < end; at += ZERO_PIECE.length) {
    device.write(at, ZERO_PIECE.subarray(0, Math.min(ZERO_PIECE.length, end - at)));
  }
}

/** Callers look for the system's word for it. */
function noRoom(size: number, end: number): ImageError {
  const cause = Object.assign(new Error('No space left on device'), { code: 'ENOSPC' });
  return new ImageError('io', `The device has ${size} bytes, and the image needs ${end} or more`, { cause });
}
