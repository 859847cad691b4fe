import type { ByteSource, ScatteredFile } from '@diskmorph/disk-image';
import { scatteredSource } from '@diskmorph/disk-image';
import { openFileSource } from './file-source.ts';
import { windowSource } from './window-source.ts';

/** Where the bytes of an image are: a file, a part of one, or the pieces of a file with holes in an archive. Plain data. */
export interface ImagePlace {
  readonly path: string;
  /** Only these bytes of the file are the image; up to its end when `size` is absent. */
  readonly window?: { readonly offset: number; readonly size?: number };
  /** Only these pieces of the file are the image; not together with `window`. */
  readonly scattered?: ScatteredFile;
}

/** The bytes at the place. `open` opens its file; see `openFileSource`. */
export async function openPlace(
  place: ImagePlace,
  open: (path: string) => Promise<ByteSource> = openFileSource,
): Promise<ByteSource> {
  const file = await open(place.path);
  try {
    if (place.scattered !== undefined) return scatteredSource(file, place.scattered);
    return place.window === undefined ? file : windowSource(file, place.window);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The place alone, of an image that says more. */
export function placeOf({ path, window, scattered }: ImagePlace): ImagePlace {
  return {
    path,
    ...(window === undefined ? {} : { window }),
    ...(scattered === undefined ? {} : { scattered }),
  };
}
