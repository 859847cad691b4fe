import type { S3Client } from '@aws-sdk/client-s3';
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { isUploadGone } from './fault.ts';

/** Where the objects of a store lie. */
export interface S3Place {
  readonly client: S3Client;
  readonly bucket: string;
}

/** A multipart upload, by its names. */
export interface UploadTarget {
  readonly key: string;
  readonly uploadId: string;
}

/** A multipart upload that was begun and neither completed nor aborted. */
export interface UnfinishedUpload extends UploadTarget {
  /** Milliseconds since 1970. */
  readonly begunAt: number;
}

/** A part that the server has. */
export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
  readonly sizeBytes: number;
}

/** The most pages of one listing: a server that never ends it is not followed for ever. */
const MAX_PAGES = 100_000;

/** All unfinished uploads to keys that begin with `prefix`. */
export async function unfinishedUploads({ client, bucket }: S3Place, prefix: string): Promise<UnfinishedUpload[]> {
  const found: UnfinishedUpload[] = [];
  let marker: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } = {};
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...marker }));
    for (const { Key: key, UploadId: uploadId, Initiated: begun } of page.Uploads ?? []) {
      if (key === undefined || uploadId === undefined || !key.startsWith(prefix)) continue;
      found.push({ key, uploadId, begunAt: begun?.getTime() ?? 0 });
    }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return found;
    marker = {
      KeyMarker: page.NextKeyMarker,
      ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
    };
  }
  throw new Error('assertion failed: the listing of unfinished uploads ends');
}

/** The parts that the server has of an upload, by number. */
export async function uploadedParts(
  { client, bucket }: S3Place,
  { key, uploadId }: UploadTarget,
): Promise<Map<number, UploadedPart>> {
  const parts = new Map<number, UploadedPart>();
  let marker: string | undefined;
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await client.send(
      new ListPartsCommand({
        Bucket: bucket,
        Key: key,
        UploadId: uploadId,
        ...(marker === undefined ? {} : { PartNumberMarker: marker }),
      }),
    );
    for (const { PartNumber: number, ETag: etag, Size: sizeBytes } of page.Parts ?? []) {
      if (number !== undefined && etag !== undefined) parts.set(number, { number, etag, sizeBytes: sizeBytes ?? 0 });
    }
    if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined) return parts;
    marker = page.NextPartNumberMarker;
  }
  throw new Error('assertion failed: the listing of parts ends');
}

/** Aborts the upload and gives its parts' room back; one that is gone already is done. */
export async function abortUpload({ client, bucket }: S3Place, upload: UploadTarget): Promise<void> {
  const { key: Key, uploadId: UploadId } = upload;
  try {
    await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
  } catch (error) {
    if (!isUploadGone(error)) throw error;
  }
}
