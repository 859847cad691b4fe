import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import type { BlobRange } from '../store.ts';
import { StoreError } from '../store.ts';
import { faultName, s3Fault } from './fault.ts';
import type { S3Place } from './unfinished.ts';

/** An object of a store. */
export interface StoredObject {
  /** The store's id, for messages. */
  readonly id: string;
  readonly place: S3Place;
  readonly key: string;
}

/** A range of the bytes that an object has under an ETag: where it has others now, it is `missing`. */
export interface VersionedRange extends BlobRange {
  readonly version?: string;
}

/** How often a read that was cut off without a byte in between is begun again. */
const MAX_CUTS = 5;

/** The bytes of an object or of a range of it; a connection that breaks on the way is made again where it broke. */
export async function* readObject(
  object: StoredObject,
  range: VersionedRange | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let offset = range?.offset ?? 0;
  let end = range === undefined ? undefined : range.offset + range.length;
  let etag = range?.version;
  if (end !== undefined && end <= offset) return;
  for (let cuts = 0; end === undefined || offset < end;) {
    const before = offset;
    try {
      const got = await get(object, { offset, end, etag, signal });
      if (got === undefined) return;
      etag ??= got.ETag;
      end = offset + (got.ContentLength ?? 0);
      for await (const chunk of bodyOf(got)) {
        offset += chunk.length;
        yield chunk;
      }
      if (offset < end) throw new StoreError('unavailable', `Store "${object.id}": the image was cut off`);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      const fault = s3Fault(object.id, 'the image cannot be read', error);
      cuts = offset > before ? 1 : cuts + 1;
      const passing = fault instanceof StoreError && fault.code === 'unavailable';
      if (!passing || cuts > MAX_CUTS || etag === undefined) throw fault;
    }
  }
}

interface Wanted {
  readonly offset: number;
  readonly end: number | undefined;
  readonly etag: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What the server has from `offset` to `end`; undefined when the range begins beyond the object's end. */
async function get(
  { place, key }: StoredObject,
  { offset, end, etag, signal }: Wanted,
): Promise<GetObjectCommandOutput | undefined> {
  const whole = offset === 0 && end === undefined;
  const command = new GetObjectCommand({
    Bucket: place.bucket,
    Key: key,
    ...(whole ? {} : { Range: `bytes=${offset}-${end === undefined ? '' : end - 1}` }),
    // What is read on must be what was begun.
    ...(etag === undefined ? {} : { IfMatch: etag }),
  });
  try {
    return await place.client.send(command, signal === undefined ? {} : { abortSignal: signal });
  } catch (error) {
    if (faultName(error) === 'InvalidRange') return undefined;
    throw error;
  }
}

function bodyOf({ Body: body }: GetObjectCommandOutput): AsyncIterable<Uint8Array> {
  if (body instanceof Readable) return body as AsyncIterable<Uint8Array>;
  throw new Error('assertion failed: the body of an object is a stream');
}
