import type { DiskImage } from '@diskmorph/disk-image';

/** Guest bytes of the disk; zeros beyond its end. */
export async function readPadded(disk: DiskImage, offset: number, into: Uint8Array): Promise<void> {
  const inside = Math.max(0, Math.min(into.length, disk.virtualSize - offset));
  if (inside > 0) await disk.read(offset, into.subarray(0, inside));
  into.fill(0, inside);
}
