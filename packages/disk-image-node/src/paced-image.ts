import { setTimeout } from 'node:timers/promises';
import type { DiskImage } from '@diskmorph/disk-image';

/** The disk, read no faster than `bytesPerSecond` on the whole: a read that comes too early waits. */
export function pacedImage(image: DiskImage, bytesPerSecond: number): DiskImage {
  let mayStartAt = 0;
  return {
    info: image.info,
    virtualSize: image.virtualSize,
    extents: (range) => image.extents(range),
    async read(offset, into, signal) {
      const now = performance.now();
      const waitMs = mayStartAt - now;
      mayStartAt = Math.max(mayStartAt, now) + (into.length / bytesPerSecond) * 1000;
      if (waitMs > 0) await setTimeout(waitMs, undefined, signal === undefined ? {} : { signal });
      await image.read(offset, into, signal);
    },
    close: () => image.close(),
  };
}
