import type { ImageInfo, JsonValue } from '@diskmorph/disk-image';
import { Failure } from '../failure.ts';

/** A persistent bitmap as an image lists it. */
export interface ListedBitmap {
  readonly name: string;
  /** True when it was not saved correctly: what it says cannot be trusted. */
  readonly inconsistent: boolean;
}

/** The bitmaps of an image in the order of its directory; none for images that cannot have any. */
export function listedBitmaps({ format, details }: ImageInfo): readonly ListedBitmap[] {
  const listed = format === 'qcow2' ? details['bitmaps'] : undefined;
  return Array.isArray(listed) ? listed.map(listedBitmap) : [];
}

function listedBitmap(entry: JsonValue): ListedBitmap {
  const { name, flags } = entry as { readonly name: string; readonly flags: readonly string[] };
  return { name, inconsistent: flags.includes('in-use') };
}

/** Whether images like this one can have persistent bitmaps. */
export function canHoldBitmaps({ format, details }: ImageInfo): boolean {
  return format === 'qcow2' && details['version'] === 3;
}

/** Throws a failure for a bitmap that only `--remove` may touch, in the words that callers look for. */
export function refuseInconsistent({ name, inconsistent }: ListedBitmap): void {
  if (!inconsistent) return;
  throw new Failure(
    `Bitmap '${name}' is inconsistent and cannot be used\n` +
      'Try block-dirty-bitmap-remove to delete this bitmap from disk',
  );
}

/** Why the bits of one disk cannot be those of another. Both sizes are in bytes. */
export function differentSizes(destination: number, source: number): string {
  return (
    `Bitmaps are of different sizes (destination size is ${destination}, source size is ${source}) ` +
    "and can't be merged"
  );
}
