import { basename } from 'node:path';
import type { DiskImage } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import type { ImageFile } from '@diskmorph/disk-image-node';
import { openImageFile } from '@diskmorph/disk-image-node';
import { Failure, reasonOf, systemWords } from '../failure.ts';
import { findDriver } from '../format-names.ts';
import { imageFile, knownImage, referencedPath, wrongFormat } from '../image/image-source.ts';
import { fromName } from '../image/location.ts';

/** A backing image as it is to be written into a header. */
export interface BackingChoice {
  /** As given: relative to where the image that stands on it lies. */
  readonly name: string;
  /** qemu-img's name of its format. */
  readonly format: string | undefined;
  /** The image that is to stand on it. */
  readonly imagePath: string;
}

/** The file of what will be the backing image, and its disk, opened. `prefix` begins the message of a failure. */
export async function openBacking(
  choice: BackingChoice,
  prefix: string,
): Promise<{ readonly file: ImageFile; readonly disk: DiskImage }> {
  const fail = (why: string): Failure => new Failure(`${prefix}Could not open '${choice.name}': ${why}`);
  if (process.env['DISKMORPH_REFERENCES'] === 'deny') throw fail('references to other files are denied');
  const path = referencedPath(choice.imagePath, choice.name);
  if (path === undefined) throw fail(`Unknown protocol in ${basename(choice.name)}`);
  const format = choice.format === undefined ? undefined : findDriver(choice.format);
  if (choice.format !== undefined && format === undefined)
    throw new Failure(`${prefix}Unknown driver '${choice.format}'`);
  try {
    const known = await knownImage({ ...fromName(path), ...(format === undefined ? {} : { format: format.name }) });
    const file = imageFile(known);
    return { file, disk: await openImageFile(file) };
  } catch (error) {
    const isOther = error instanceof ImageError && error.code === 'wrong_format';
    if (isOther && format !== undefined) throw new Failure(`${prefix}${wrongFormat(format)}`);
    const words = systemWords(error) ?? /: ([^:]*)$/.exec(reasonOf(error))?.[1] ?? reasonOf(error);
    throw fail(words);
  }
}
