import type { Codecs } from '../bytes/codecs.ts';
import { assert, ImageError } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import { normalizeExtents } from '../image/extent.ts';
import type { ContentDigest, WorkPorts } from './digest.ts';
import { digestImage } from './digest.ts';

const TAIL_PIECE = 65536;

/**
 * The first `virtualSize` bytes of a disk as a disk of their own. A target whose format rounds the size up is compared
 * with its source through this view.
 */
export function clippedImage(image: DiskImage, virtualSize: number): DiskImage {
  if (virtualSize === image.virtualSize) return image;
  assert(virtualSize < image.virtualSize, 'a view is not larger than its disk');
  return {
    info: image.info,
    virtualSize,
    extents: (range) => normalizeExtents(range, image.extents(range)),
    async read(offset, into, signal) {
      if (offset + into.length > virtualSize) throw new ImageError('out_of_bounds', 'The read leaves the disk');
      await image.read(offset, into, signal);
    },
    close: () => image.close(),
  };
}

/**
 * Reads `written` back through its format's reader and compares its content with what was read from the source: the
 * content id over the source's size, zeros beyond it. Throws `corrupt` when they differ. The lanes must read
 * `clippedImage(written, expected.virtualSize)`.
 */
export async function verifyContent(
  written: DiskImage,
  expected: { readonly contentId: string; readonly virtualSize: number },
  ports: WorkPorts,
): Promise<ContentDigest> {
  if (written.virtualSize < expected.virtualSize) throw differs('it is smaller');
  const digest = await digestImage(clippedImage(written, expected.virtualSize), ports, 'verify');
  if (digest.contentId !== expected.contentId) throw differs('its content id is another');
  await checkTailIsZero(written, expected.virtualSize, ports.codecs);
  return digest;
}

async function checkTailIsZero(image: DiskImage, from: number, codecs: Codecs): Promise<void> {
  const piece = new Uint8Array(TAIL_PIECE);
  for await (const extent of image.extents({ offset: from, length: image.virtualSize - from })) {
    if (extent.state !== 'data') continue;
    for (let offset = extent.offset; offset < extent.offset + extent.length; offset += TAIL_PIECE) {
      const part = piece.subarray(0, Math.min(TAIL_PIECE, extent.offset + extent.length - offset));
      await image.read(offset, part);
      if (!codecs.isZero(part)) throw differs('it holds data beyond the end of the source');
    }
  }
}

function differs(how: string): ImageError {
  return new ImageError('corrupt', `The result does not hold the same guest bytes as the source: ${how}`, {
    structure: 'verification',
  });
}
