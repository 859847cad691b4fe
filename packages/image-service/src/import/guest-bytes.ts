import type { ByteSource } from '@diskmorph/disk-image';
import type { ImageRecord } from '../catalog/image.ts';
import type { BlobRange, ImageStore } from '../store/store.ts';
import { readerFor } from './convert.ts';
import type { ImageTools } from './image-tools.ts';
import type { StoredData } from './stored-data.ts';
import { openStoredPlace } from './stored-data.ts';
import { storedSource } from './stored-source.ts';

/** Guest bytes that are read at once. */
const PIECE_SIZE = 256 * 1024;

/**
 * The guest's disk of a stored image as raw bytes, made while it is read: every range can be had, nothing is written.
 * Undefined when the image has no data. Throws `not_convertible` for what is no disk image, and what its reader throws.
 */
export async function openGuestBytes(
  parts: { readonly stores: ReadonlyMap<string, ImageStore>; readonly tools: ImageTools },
  image: ImageRecord,
): Promise<StoredData | undefined> {
  const reader = readerFor(image.diskFormat ?? '', parts.tools.readable);
  const place = await openStoredPlace(parts.stores, image);
  if (place === undefined) return undefined;
  if (reader === 'raw') return place;
  const open = (): ByteSource => storedSource(place.store, place.location, place.sizeBytes);
  const { virtualSize, close } = await parts.tools.openSource(open(), reader);
  await close();
  return {
    sizeBytes: virtualSize,
    read: (range = { offset: 0, length: virtualSize }) => guestBytes(parts.tools, { open, reader }, range),
  };
}

interface GuestOf {
  readonly open: () => ByteSource;
  readonly reader: string;
}

async function* guestBytes(
  tools: ImageTools,
  { open, reader }: GuestOf,
  { offset, length }: BlobRange,
): AsyncGenerator<Uint8Array> {
  const disk = await tools.openSource(open(), reader);
  try {
    for (let done = 0; done < length;) {
      const piece = new Uint8Array(Math.min(PIECE_SIZE, length - done));
      await disk.read(offset + done, piece);
      done += piece.length;
      yield piece;
    }
  } finally {
    await disk.close();
  }
}
