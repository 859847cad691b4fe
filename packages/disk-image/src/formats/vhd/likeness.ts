import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { GivenOptions } from '../../image/format.ts';
import { readAnatomy } from './examine.ts';
import { roundToGeometry } from './geometry.ts';

/** The options of a fixed or dynamic disk. Throws `unsupported` for a differencing disk. */
export async function vhdLikeness(source: ByteSource): Promise<GivenOptions> {
  const { footer, header } = await readAnatomy(source);
  const { diskType, diskSize, uniqueId } = footer;
  if (diskType !== 'fixed' && diskType !== 'dynamic') {
    throw new ImageError('unsupported', `A ${diskType} VHD cannot be made anew`, { format: 'vhd' });
  }
  return {
    subformat: diskType,
    unique_id: uniqueId,
    ...(roundToGeometry(diskSize).virtualSize === diskSize ? {} : { force_size: 'on' }),
    ...(header === undefined ? {} : { block_size: `${header.blockSize}` }),
  };
}
