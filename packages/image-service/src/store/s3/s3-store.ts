import { CreateBucketCommand, DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { blobName, parseBlobName, refuseLocation, requireImageId } from '../blob-name.ts';
import type { BlobContent, BlobOwner, ImageStore, StoredBlob, TransferOptions } from '../store.ts';
import { StoreError } from '../store.ts';
import type { S3Connection } from './client.ts';
import { s3Client } from './client.ts';
import { faultName, isUploadGone, s3Fault } from './fault.ts';
import { partReader, partSizes } from './parts.ts';
import type { VersionedRange } from './read-object.ts';
import { readObject } from './read-object.ts';
import type { S3Place, UnfinishedUpload, UploadTarget } from './unfinished.ts';
import { abortUpload, unfinishedUploads } from './unfinished.ts';
import type { Upload } from './upload.ts';
import { beginUpload, putWhole, sendParts } from './upload.ts';

/** What a store on an S3 server is made of. */
export interface S3StoreOptions {
  readonly id: string;
  /** 0 when absent. */
  readonly weight?: number;
  readonly connection: S3Connection;
  readonly bucket: string;
  /** Make the bucket when it is missing and something is put. */
  readonly createBucket: boolean;
  /** Contents from this size on are sent in parts. Bytes. */
  readonly multipartFromBytes: number;
  /** The size of a part, at least 5 MiB; larger where the content would have too many of them. */
  readonly partBytes: number;
  /** Parts on their way at the same time. */
  readonly lanes: number;
  /** The folder of this installation: others may share the bucket. A UUID. */
  readonly instanceId: string;
  /** Tells the folder apart from that of finished images. */
  readonly purpose?: 'uploads';
}

/** A store in a bucket, with what only such a one can do. */
export interface S3Store extends ImageStore {
  read(location: string, range?: VersionedRange, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** What lies there, with its ETag. Throws as `stat`. */
  versionOf(location: string): Promise<StoredBlob & { readonly version: string }>;
  /** Everything in the folder. Throws `unavailable`, `io`. */
  entries(): Promise<readonly FolderEntry[]>;
  /** Removes just this. Missing means done. Throws `unavailable`, `io`. */
  removeEntry(entry: FolderEntry): Promise<void>;
}

/** An object in the folder of a store, or an upload that was begun and not completed. */
export type FolderEntry = { readonly imageId: string } & (
  | { readonly location: string }
  | { readonly unfinished: UploadTarget }
);

/**
 * A store in a bucket. A blob is the object `<folder>/<image id>.<epoch>`; the folder is called like the installation, and
 * `purpose` where there is one. Large contents are sent in parts; an upload that was cut off is taken up by the next put
 * for the same image.
 */
export function s3Store(options: S3StoreOptions): S3Store {
  const { id, bucket } = options;
  const suffix = options.purpose === undefined ? '' : `-${options.purpose}`;
  const folder = `${requireImageId(options.instanceId)}${suffix}/`;
  const checkedKey = (location: string): string => keyIn(location, suffix);
  const place: S3Place = { client: s3Client(options.connection), bucket };
  const asked = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw s3Fault(id, doing, error);
    }
  };
  return {
    id,
    type: 's3',
    readOnly: false,
    weight: options.weight ?? 0,
    put: (owner, content, transfer = {}) => put({ options, place, folder }, { owner, content, transfer }),
    read: (location, range, signal) => readObject({ id, place, key: checkedKey(location) }, range, signal),
    stat: (location) =>
      asked('the image cannot be read', async () => {
        const { sizeBytes } = await headOf(place, checkedKey(location));
        return { location, sizeBytes };
      }),
    versionOf: (location) =>
      asked('the image cannot be read', async () => ({ location, ...(await headOf(place, checkedKey(location))) })),
    entries: () => asked('its bucket cannot be read', () => entriesOf(place, folder)),
    removeEntry: (entry) =>
      asked('residue cannot be removed', () =>
        'location' in entry ? deleteObject(place, checkedKey(entry.location)) : abortUpload(place, entry.unfinished),
      ),
    delete: (location) => asked('the image cannot be removed', () => deleteObject(place, checkedKey(location))),
    blobsOf: (imageId) =>
      asked('its bucket cannot be read', () => keysOf(place, `${folder}${requireImageId(imageId)}.`)),
    discardUnfinished: (imageId) =>
      asked('residue cannot be removed', () => abortAll(place, `${folder}${requireImageId(imageId)}.`, () => true)),
    clearLeftovers: (kept) =>
      asked('residue cannot be removed', () =>
        abortAll(place, folder, ({ key, begunAt }) => {
          const imageId = parseBlobName(key.slice(folder.length))?.imageId;
          if (imageId === undefined || kept?.images.includes(imageId) === true) return false;
          return kept?.since === undefined || begunAt < kept.since;
        }),
      ),
    checkReady: () => asked('its bucket cannot be reached', () => checkBucket(place, options)),
    freeBytes: async () => undefined,
    addressOf: async (location) => objectAddress(options, checkedKey(location)),
    locationAt: (url, imageId) => {
      const key = keyAt(options, url);
      const name = key?.startsWith(folder) === true ? parseBlobName(key.slice(folder.length)) : undefined;
      return name?.imageId === imageId ? key : undefined;
    },
  };
}

/** `s3+https://server/bucket/key`: as Glance writes it, but without the keys of the account. */
function objectAddress({ connection, bucket }: S3StoreOptions, key: string): string {
  const { protocol, host } = new URL(connection.endpoint);
  return `s3+${protocol}//${host}/${bucket}/${key}`;
}

/** The key in an address of this bucket; undefined for any other address. */
function keyAt(options: S3StoreOptions, url: string): string | undefined {
  const beginning = objectAddress(options, '');
  const short = beginning.replace(/^s3\+https?:/, 's3:');
  const own = [beginning, short].find((prefix) => url.startsWith(prefix));
  return own === undefined ? undefined : url.slice(own.length);
}

/** The key that a location is, in a folder with this suffix. Throws `missing` for one that is not of our making. */
function keyIn(location: string, suffix: string): string {
  const [folder = '', name = '', ...more] = location.split('/');
  if (more.length > 0 || parseBlobName(name) === undefined || !folder.endsWith(suffix)) refuseLocation(location);
  requireImageId(folder.slice(0, folder.length - suffix.length));
  return location;
}

/** A bucket that the first put makes need not be there. */
async function checkBucket({ client, bucket }: S3Place, { createBucket }: S3StoreOptions): Promise<void> {
  const looked = client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 }));
  await (createBucket ? looked.catch(noBucket) : looked);
}

async function headOf(
  { client, bucket }: S3Place,
  key: string,
): Promise<{ readonly sizeBytes: number; readonly version: string }> {
  const { ContentLength = 0, ETag } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
  if (ETag === undefined) throw new Error('assertion failed: an object has an ETag');
  return { sizeBytes: ContentLength, version: ETag };
}

async function deleteObject({ client, bucket }: S3Place, key: string): Promise<void> {
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
}

async function entriesOf(place: S3Place, folder: string): Promise<readonly FolderEntry[]> {
  const idOf = (key: string): string | undefined => parseBlobName(key.slice(folder.length))?.imageId;
  const objects = (await keysOf(place, folder)).flatMap((location) => {
    const imageId = idOf(location);
    return imageId === undefined ? [] : [{ imageId, location }];
  });
  const uploads = ((await unfinishedUploads(place, folder).catch(noBucket)) ?? []).flatMap((unfinished) => {
    const imageId = idOf(unfinished.key);
    return imageId === undefined ? [] : [{ imageId, unfinished }];
  });
  return [...objects, ...uploads];
}

async function keysOf({ client, bucket }: S3Place, prefix: string): Promise<readonly string[]> {
  const keys: string[] = [];
  let token: string | undefined;
  do {
    const next = token === undefined ? {} : { ContinuationToken: token };
    const page = await client
      .send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ...next }))
      .catch(noBucket);
    keys.push(...(page?.Contents ?? []).flatMap(({ Key: key }) => (key?.startsWith(prefix) === true ? [key] : [])));
    token = page?.NextContinuationToken;
  } while (token !== undefined);
  return keys;
}

async function abortAll(place: S3Place, prefix: string, goes: (upload: UnfinishedUpload) => boolean): Promise<void> {
  const uploads = (await unfinishedUploads(place, prefix).catch(noBucket)) ?? [];
  for (const upload of uploads) if (goes(upload)) await abortUpload(place, upload);
}

/** A bucket that is not there yet holds nothing. */
function noBucket(error: unknown): undefined {
  if (faultName(error) !== 'NoSuchBucket') throw error;
  return undefined;
}

interface Bucket {
  readonly options: S3StoreOptions;
  readonly place: S3Place;
  readonly folder: string;
}

interface Put {
  readonly owner: BlobOwner;
  readonly content: BlobContent;
  readonly transfer: TransferOptions;
}

/** What a put has begun on the server, for cleaning up after it. */
interface Begun {
  upload?: UploadTarget;
  object?: string;
}

async function put(bucket: Bucket, wanted: Put): Promise<StoredBlob> {
  const { options, place, folder } = bucket;
  const { content, transfer } = wanted;
  const key = `${folder}${blobName(wanted.owner)}`;
  const begun: Begun = {};
  try {
    transfer.signal?.throwIfAborted();
    const stored = await send(bucket, wanted, { key, begun }).catch((error: unknown) => {
      // An attempt before ours still ran, and has aborted the upload that we took up from it.
      if (!isUploadGone(error) || begun.upload?.key === key || !('path' in content)) throw error;
      return send(bucket, wanted, { key, begun });
    });
    const { sizeBytes } = await headOf(place, stored.location);
    if (sizeBytes === stored.sizeBytes) return stored;
    throw new StoreError('io', `${sizeBytes} bytes arrived in the store instead of ${stored.sizeBytes}`);
  } catch (error) {
    const fault = s3Fault(options.id, 'the image could not be stored', error);
    const stopped = transfer.signal?.aborted === true;
    const passing = fault instanceof StoreError && fault.code === 'unavailable';
    await undo(place, begun, { keepParts: 'path' in content && (stopped || passing) }).catch(() => {});
    throw stopped ? transfer.signal?.reason : fault;
  }
}

async function undo(place: S3Place, begun: Begun, { keepParts }: { readonly keepParts: boolean }): Promise<void> {
  const { object, upload } = begun;
  if (object !== undefined) {
    await deleteObject(place, object);
  }
  if (upload !== undefined && !keepParts) await abortUpload(place, upload);
}

interface Sending {
  readonly key: string;
  readonly begun: Begun;
}

async function send(bucket: Bucket, wanted: Put, { key, begun }: Sending): Promise<StoredBlob> {
  const { options, place } = bucket;
  const { content, transfer } = wanted;
  const totalBytes = content.sizeBytes;
  const inParts = totalBytes === undefined || totalBytes >= options.multipartFromBytes;
  const chunk = inParts ? options.partBytes : Math.max(totalBytes, 1);
  const sizes = inParts ? partSizes(chunk, totalBytes) : () => chunk + 1;
  const reader = partReader(content, sizes, transfer.signal);
  const upload: Upload = { place, reader, lanes: options.lanes, totalBytes, transfer };
  try {
    const first = await reader.next();
    if (first === undefined) throw new Error('assertion failed: every content has a first part');
    if (first.isLast) {
      begun.object = key;
      const sizeBytes = await withBucket(bucket, () => putWhole(upload, key, first));
      return { location: key, sizeBytes };
    }
    const target = (await takenUp(bucket, wanted)) ?? (await withBucket(bucket, () => beginUpload(place, key)));
    begun.upload = target;
    begun.object = target.key;
    return { location: target.key, sizeBytes: await sendParts(upload, target, first) };
  } finally {
    await reader.close();
  }
}

/**
 * The newest upload that an earlier attempt for the image has left, if a file is to be put: a stream may be another one
 * this time. Those left besides it are aborted. Attempts later than ours are not touched.
 */
async function takenUp({ place, folder }: Bucket, { owner, content }: Put): Promise<UnfinishedUpload | undefined> {
  if (!('path' in content)) return undefined;
  const uploads = (await unfinishedUploads(place, `${folder}${owner.imageId}.`).catch(noBucket)) ?? [];
  const epochOf = ({ key }: UnfinishedUpload): number => parseBlobName(key.slice(folder.length))?.epoch ?? Infinity;
  const [newest, ...others] = uploads
    .filter((upload) => epochOf(upload) <= owner.epoch)
    .sort((a, b) => epochOf(b) - epochOf(a) || b.begunAt - a.begunAt);
  for (const other of others) await abortUpload(place, other);
  return newest;
}

/** Does the work; where the bucket is missing and may be made, makes it and does the work again. */
async function withBucket<T>({ options, place }: Bucket, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (faultName(error) !== 'NoSuchBucket' || !options.createBucket) throw error;
    await place.client.send(new CreateBucketCommand({ Bucket: place.bucket })).catch((failure: unknown) => {
      if (!faultName(failure).startsWith('BucketAlready')) throw failure;
    });
    return work();
  }
}
