import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ImageRecord } from '../../catalog/image.ts';
import type { ImageStore } from '../../store/store.ts';
import type { HeldBlobs } from '../held-blobs.ts';
import type { SourceAtHand } from '../image-tools.ts';
import type { StoredPlace } from '../stored-data.ts';
import { openStoredPlace } from '../stored-data.ts';

/** Where the bytes of images are found. */
export interface OriginalParts {
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly held: HeldBlobs;
  /** The image as its record describes it, in a file beside the stores; undefined when there is none. */
  readonly openCopy?: ((image: ImageRecord) => Promise<FileHandle | undefined>) | undefined;
}

/** The bytes of an image as its record describes it; nobody removes them until they are closed. */
export interface Original {
  readonly at: SourceAtHand;
  /** Another one is at another place. */
  readonly place: string;
  close(): Promise<void>;
}

/** The bytes: of the copy beside the stores, of a file in a store, or of what the store gives. Throws as `openStoredPlace`. */
export async function openOriginal(parts: OriginalParts, image: ImageRecord): Promise<Original | undefined> {
  const copy = await parts.openCopy?.(image);
  if (copy !== undefined) return { at: copy, place: 'copy', close: () => copy.close() };
  const place = await openStoredPlace(parts.stores, image);
  if (place === undefined) return undefined;
  const letGo = parts.held.hold({ store: place.store.id, location: place.location });
  const file = await openFile(place);
  return {
    at: file ?? place,
    place: JSON.stringify([place.store.id, place.location]),
    async close() {
      letGo();
      await file?.close();
    },
  };
}

/** Undefined where it is no file, or cannot be opened: the store says why when it is read. */
async function openFile({ store, location }: StoredPlace): Promise<FileHandle | undefined> {
  if (store.type !== 'file') return undefined;
  try {
    return await open(fileURLToPath(await store.addressOf(location)), 'r');
  } catch {
    return undefined;
  }
}
