import { stat } from 'node:fs/promises';
import type { ConversionPlan, DiskImage } from '@diskmorph/disk-image';
import { DEFAULT_LIMITS, ImageError } from '@diskmorph/disk-image';
import type { ImageFile } from './image-file.ts';

/**
 * Throws `unsafe` when the plan says that the source stores at least 1 GiB, and more than `maxRatio` times as much as its
 * file takes on the disk: the exact form of what `inspect` estimates as `size-bomb-ratio`. Images of several files are let
 * through.
 */
export async function refuseDataBomb(
  plan: ConversionPlan,
  source: { readonly file: ImageFile; readonly image: DiskImage },
  maxRatio: number,
): Promise<void> {
  const { dataBytes } = plan.source;
  const { file, image } = source;
  if (dataBytes < DEFAULT_LIMITS.minDataBombSize || image.info.references.length > 0 || file.over !== undefined) return;
  const stats = await stat(file.path);
  const storedBytes = Math.min(stats.size, stats.blocks * 512);
  if (!stats.isFile() || dataBytes <= maxRatio * Math.max(1, storedBytes)) return;
  const message = `The image says that it stores ${dataBytes} guest bytes, in a file that takes ${storedBytes} bytes on the disk`;
  throw new ImageError('unsafe', message, { structure: 'compression ratio' });
}
