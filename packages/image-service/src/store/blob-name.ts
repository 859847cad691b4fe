import type { BlobOwner } from './store.ts';
import { StoreError } from './store.ts';

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const IMAGE_ID = new RegExp(`^${UUID}$`);
const BLOB_NAME = new RegExp(`^(${UUID})\\.(\\d{1,15})$`);

/** What a blob's name says. */
export interface BlobName {
  readonly imageId: string;
  readonly epoch: number;
}

/** The name of an attempt's bytes: `<image id>.<epoch>`. Throws `missing` unless the id is a UUID in lower case. */
export function blobName({ imageId, epoch }: BlobOwner): string {
  const name = `${imageId}.${epoch}`;
  requireBlobName(name);
  return name;
}

/** What the name says; undefined for a name that is not of our making. */
export function parseBlobName(name: string): BlobName | undefined {
  const [, imageId, epoch] = BLOB_NAME.exec(name) ?? [];
  return imageId === undefined ? undefined : { imageId, epoch: Number(epoch) };
}

/** What the name says. Throws `missing` for a name that is not of our making: it must not lead anywhere. */
export function requireBlobName(name: string): BlobName {
  return parseBlobName(name) ?? refuseLocation(name);
}

/** The number of the attempt that a location's name ends in; 0 when it ends in none. */
export function blobEpoch(location: string): number {
  return Number(/\.(\d+)$/.exec(location)?.[1] ?? 0);
}

/** The id as given; throws `missing` unless it is a UUID in lower case. */
export function requireImageId(imageId: string): string {
  return IMAGE_ID.test(imageId) ? imageId : refuseLocation(imageId);
}

/** Throws `missing` for what no store gives as a location. */
export function refuseLocation(location: string): never {
  throw new StoreError('missing', `${JSON.stringify(location.slice(0, 100))} is no place in this store`);
}
