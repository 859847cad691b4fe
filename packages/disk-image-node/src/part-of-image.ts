import type { DiskImage } from '@diskmorph/disk-image';
import { assert } from '@diskmorph/disk-image';

/** Some guest bytes of a disk as a disk of its own; closing it closes the whole. */
export function partOfImage(image: DiskImage, part: { readonly offset: number; readonly size: number }): DiskImage {
  assert(part.offset >= 0 && part.offset + part.size <= image.virtualSize, 'the part lies inside the disk');
  return {
    info: { ...image.info, virtualSize: part.size },
    virtualSize: part.size,
    async *extents({ offset, length }) {
      if (length === 0) return;
      for await (const extent of image.extents({ offset: offset + part.offset, length })) {
        yield { ...extent, offset: extent.offset - part.offset };
      }
    },
    read: (offset, into, signal) => image.read(offset + part.offset, into, signal),
    close: () => image.close(),
  };
}
