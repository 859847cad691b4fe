import type { Format, ImageInfo } from '@diskmorph/disk-image';
import { alignUp } from '@diskmorph/disk-image';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import { canHoldBitmaps, differentSizes, listedBitmaps } from '../image/bitmap-list.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, openLocation } from '../image/image-source.ts';
import { withWritableFile } from '../image/writable-file.ts';
import { note } from '../text/output.ts';

/** The bitmaps that `convert --bitmaps` copies. */
export interface BitmapCopy {
  readonly source: KnownImage;
  /** Bytes of the source's disk. */
  readonly virtualSize: number;
  /** In the order of the source's directory. */
  readonly names: readonly string[];
  /** Those that were not saved correctly, with `--skip-broken-bitmaps`. */
  readonly skipped: readonly string[];
}

const SECTOR_SIZE = 512;

/** What is to be copied from the only source. Throws a failure for sources without bitmaps and for broken ones. */
export async function bitmapsToCopy(sources: readonly KnownImage[], broken: 'refuse' | 'skip'): Promise<BitmapCopy> {
  const [source, ...others] = sources;
  if (source === undefined || others.length > 0) throw new Failure('Copying bitmaps only possible with single source');
  const { info } = await examineImage(source);
  if (!canHoldBitmaps(info)) throw new Failure('Source lacks bitmap support');
  const listed = listedBitmaps(info);
  // Callers see the bitmap that was added last named first.
  const inconsistent = listed.filter((bitmap) => bitmap.inconsistent).toReversed();
  const [first] = inconsistent;
  if (first !== undefined && broken === 'refuse') {
    throw new Failure(
      `Cannot copy inconsistent bitmap '${first.name}'\n` +
        "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it",
    );
  }
  return {
    source,
    virtualSize: alignUp(info.virtualSize, SECTOR_SIZE),
    names: listed.filter((bitmap) => !bitmap.inconsistent).map(({ name }) => name),
    skipped: inconsistent.map(({ name }) => name),
  };
}

/** The failure for a target that cannot have bitmaps. */
export function lacksBitmaps(format: Format): Failure {
  return new Failure(`Format driver '${qemuName(format.name)}' does not support bitmaps`);
}

/** Throws a failure when the image that is there cannot take the copies, before anything is written to it. */
export function checkRoomForBitmaps(copy: BitmapCopy, { format }: KnownImage, existing: ImageInfo): void {
  if (!canHoldBitmaps(existing)) throw lacksBitmaps(format);
  const taken = new Set(listedBitmaps(existing).map(({ name }) => name));
  const size = alignUp(existing.virtualSize, SECTOR_SIZE);
  for (const name of copy.names.toReversed()) {
    if (taken.has(name)) throw new Failure(`Failed to create bitmap ${name}: Bitmap already exists: ${name}`);
    if (size === copy.virtualSize) continue;
    throw new Failure(`Failed to populate bitmap ${name}: ${differentSizes(size, copy.virtualSize)}`);
  }
}

/** An image that takes copies of bitmaps. */
export interface BitmapTarget {
  readonly path: string;
  readonly format: Format;
  /** `new` images nobody has yet: what is written is left to the operating system, as all of them is. */
  readonly state: 'new' | 'existing';
}

/** Copies the bitmaps into the image, all of them by one switch, and warns of those that are left out. */
export async function copyBitmaps(copy: BitmapCopy, { path, format, state }: BitmapTarget): Promise<void> {
  for (const name of copy.skipped) note(`qemu-img: warning: Skipping inconsistent bitmap '${name}'\n`);
  const editor = format.editor?.bitmaps;
  if (copy.names.length === 0 || editor === undefined) return;
  const source = openLocation(copy.source.location);
  try {
    await withWritableFile(path, path, ({ source: read, sink }) => {
      const kept = state === 'existing' ? sink : { ...sink, flush: async () => {} };
      return editor.copy({ source: read, sink: kept }, source, copy.names);
    });
  } finally {
    await source.close();
  }
}
