import type { Verdict } from '@diskmorph/disk-image';
import type { ImageRecord } from '../catalog/image.ts';
import type { DataParts } from './image-data.ts';
import { openStoredPlace } from './stored-data.ts';
import { storedSource } from './stored-source.ts';

/** What the data of an image is: the verdict on it, where it was found. */
export interface ImageInspection {
  /** `staged`: it waits for its import. `stored`: it is in a store. */
  readonly place: 'staged' | 'stored';
  readonly verdict: Verdict;
}

/** The verdict on the staged or stored data of an image, held against its disk_format; undefined when it has none. */
export async function inspectImage(parts: DataParts, image: ImageRecord): Promise<ImageInspection | undefined> {
  const { maxVirtualSize } = parts.settings;
  const declared = { maxVirtualSize, ...(image.diskFormat === null ? {} : { declared: image.diskFormat }) };
  if (image.status === 'uploading') {
    const staged = await parts.uploads.open(image.id);
    if (staged === undefined) return undefined;
    try {
      return { place: 'staged', verdict: await parts.tools.inspectSource(staged, declared) };
    } finally {
      await staged.close();
    }
  }
  const stored = await openStoredPlace(parts.stores, image);
  if (stored === undefined) return undefined;
  const source = storedSource(stored.store, stored.location, stored.sizeBytes);
  return { place: 'stored', verdict: await parts.tools.inspectSource(source, declared) };
}
