import { createHash } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { TransferOptions } from '../store.ts';
import { isUploadGone } from './fault.ts';
import type { Part, PartReader } from './parts.ts';
import type { S3Place, UploadedPart, UploadTarget } from './unfinished.ts';
import { uploadedParts } from './unfinished.ts';

/** The most bytes of parts that one put holds in memory. */
const MEMORY_BYTES = 64 * 2 ** 20;

/** One put into a bucket. */
export interface Upload {
  readonly place: S3Place;
  readonly reader: PartReader;
  /** Parts on their way at the same time, as long as they fit into the memory for them. */
  readonly lanes: number;
  /** Of the whole, where it is known. */
  readonly totalBytes: number | undefined;
  readonly transfer: TransferOptions;
}

/** Stores a part that is the whole as one object. */
export async function putWhole(upload: Upload, key: string, part: Part): Promise<number> {
  const { place, transfer, reader } = upload;
  const { signal, onBytes } = transfer;
  await place.client.send(
    new PutObjectCommand({
      Bucket: place.bucket,
      Key: key,
      Body: part.bytes,
      ContentLength: part.bytes.length,
      ContentMD5: part.md5.toString('base64'),
      ContentType: 'application/octet-stream',
    }),
    abortable(signal),
  );
  reader.giveBack(part);
  onBytes?.(part.bytes.length, part.bytes.length);
  return part.bytes.length;
}

/** Begins a multipart upload. */
export async function beginUpload({ client, bucket }: S3Place, key: string): Promise<UploadTarget> {
  const begun = await client.send(
    new CreateMultipartUploadCommand({ Bucket: bucket, Key: key, ContentType: 'application/octet-stream' }),
  );
  if (begun.UploadId === undefined) throw new Error('assertion failed: an upload that was begun has an id');
  return { key, uploadId: begun.UploadId };
}

interface SentPart {
  readonly etag: string;
  readonly md5: Buffer;
}

/**
 * Sends all parts that the server does not have yet, and makes them one object; gives its size. A part counts as there
 * only when its ETag is the MD5 of the same bytes, so that what an earlier attempt sent is never trusted unseen.
 */
export async function sendParts(upload: Upload, target: UploadTarget, first: Part): Promise<number> {
  const known = await uploadedParts(upload.place, target);
  const sent = new Map<number, SentPart>();
  const sizeBytes = await inLanes(upload, first, async (part) => {
    const etag = heldAlready(known.get(part.number), part) ?? (await sendPart(upload, target, part));
    sent.set(part.number, { etag, md5: part.md5 });
  });
  upload.transfer.signal?.throwIfAborted();
  const parts = [...sent].sort(([a], [b]) => a - b);
  await complete(upload.place, target, parts);
  return sizeBytes;
}

/** Makes the parts one object. An upload that is gone is done when the object of just these parts is there. */
async function complete(
  { client, bucket }: S3Place,
  { key, uploadId }: UploadTarget,
  parts: readonly (readonly [number, SentPart])[],
): Promise<void> {
  const named = parts.map(([PartNumber, { etag: ETag }]) => ({ PartNumber, ETag }));
  try {
    await client.send(
      new CompleteMultipartUploadCommand({
        Bucket: bucket,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: { Parts: named },
      }),
    );
  } catch (error) {
    // The answer to a first try may have been lost on the way.
    if (!isUploadGone(error)) throw error;
    const { ETag: etag } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch(() => {
      throw error;
    });
    if (etag?.replaceAll('"', '') !== wholeEtag(parts.map(([, { md5 }]) => md5))) throw error;
  }
}

/** The ETag of an object that was made of parts with these digests: the MD5 of them all, and their number. */
function wholeEtag(digests: readonly Buffer[]): string {
  return `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${digests.length}`;
}

/** The ETag of a part that the server holds with just these bytes. */
function heldAlready(held: UploadedPart | undefined, part: Part): string | undefined {
  if (held?.sizeBytes !== part.bytes.length) return undefined;
  return held.etag.replaceAll('"', '') === part.md5.toString('hex') ? held.etag : undefined;
}

async function sendPart({ place, transfer }: Upload, { key, uploadId }: UploadTarget, part: Part): Promise<string> {
  const { ETag } = await place.client.send(
    new UploadPartCommand({
      Bucket: place.bucket,
      Key: key,
      UploadId: uploadId,
      PartNumber: part.number,
      Body: part.bytes,
      ContentLength: part.bytes.length,
      ContentMD5: part.md5.toString('base64'),
    }),
    abortable(transfer.signal),
  );
  if (ETag === undefined) throw new Error('assertion failed: a part that was sent has an ETag');
  return ETag;
}

/** Gives every part to `send`, several at the same time; gives the number of all bytes. The first failure ends it. */
async function inLanes(upload: Upload, first: Part, send: (part: Part) => Promise<void>): Promise<number> {
  const { reader, transfer, totalBytes } = upload;
  const lanes = Math.max(1, Math.min(upload.lanes, Math.floor(MEMORY_BYTES / first.bytes.length)));
  const running = new Set<Promise<void>>();
  let read = 0;
  let done = 0;
  const sendOne = async (part: Part): Promise<void> => {
    const size = part.bytes.length;
    await send(part);
    reader.giveBack(part);
    done += size;
    transfer.onBytes?.(done, totalBytes ?? done);
  };
  const begin = (part: Part): void => {
    read += part.bytes.length;
    const sending = sendOne(part).then(() => void running.delete(sending));
    // A failure is met by whoever awaits the set; until then it must not count as unhandled.
    sending.catch(() => {});
    running.add(sending);
  };
  try {
    for (let part: Part | undefined = first; part !== undefined; part = await reader.next()) {
      begin(part);
      if (running.size >= lanes) await Promise.race(running);
    }
    await Promise.all(running);
    return read;
  } finally {
    await Promise.allSettled(running);
  }
}

function abortable(signal: AbortSignal | undefined): { readonly abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
