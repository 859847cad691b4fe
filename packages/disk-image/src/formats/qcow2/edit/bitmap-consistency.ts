import { AUTOCLEAR } from '../header.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { EditedImage } from './edited-image.ts';

/**
 * Throws `unsupported` when the image has persistent bitmaps that record writes: `doing` changes guest bytes that they
 * would not know of. Bitmaps whose autoclear bit is off are outdated anyway.
 */
export function refuseRecordingBitmaps(image: EditedImage, doing: string): void {
  const { header, bitmaps } = image.metadata;
  if ((header.autoclearFeatures & AUTOCLEAR.bitmaps) === 0n) return;
  const recording = bitmaps.find((bitmap) => bitmap.auto);
  if (recording === undefined) return;
  throw qcow2Error(
    'unsupported',
    `The bitmap ${JSON.stringify(recording.name)} records writes, and ${doing} would not be recorded; disable it first`,
    { structure: 'bitmap directory' },
  );
}
