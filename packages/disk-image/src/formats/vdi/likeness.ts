import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { GivenOptions } from '../../image/format.ts';
import { readHeader } from './header.ts';

/** The options of a dynamic or static image. Throws `unsupported` for one of another type. */
export async function vdiLikeness(source: ByteSource): Promise<GivenOptions> {
  const { imageType, blockSize, imageUuid } = await readHeader(source);
  if (imageType !== 'dynamic' && imageType !== 'static') {
    throw new ImageError('unsupported', `A VDI image of type ${imageType} cannot be made anew`, { format: 'vdi' });
  }
  return { static: imageType === 'static' ? 'on' : 'off', block_size: `${blockSize}`, uuid: imageUuid };
}
