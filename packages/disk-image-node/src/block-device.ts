import { readSync } from 'node:fs';
import { ImageError } from '@diskmorph/disk-image';

const MAX_DEVICE_SIZE = 2 ** 53 - 1;

/** Size in bytes of an open block device: found by reading, for `fstat` says 0. Throws `io` when it cannot be read. */
export function blockDeviceSize(fd: number, path: string): number {
  const byte = new Uint8Array(1);
  const readable = (offset: number): boolean => {
    try {
      return readSync(fd, byte, 0, 1, offset) === 1;
    } catch {
      return false;
    }
  };
  if (!readable(0)) throw new ImageError('io', `Cannot read the block device ${path}`);
  let inside = 0;
  let outside = 512;
  while (readable(outside)) {
    inside = outside;
    outside *= 2;
    if (outside > MAX_DEVICE_SIZE) throw new ImageError('io', `Cannot find the size of the block device ${path}`);
  }
  while (outside - inside > 1) {
    const middle = Math.floor((inside + outside) / 2);
    if (readable(middle)) inside = middle;
    else outside = middle;
  }
  return outside;
}
