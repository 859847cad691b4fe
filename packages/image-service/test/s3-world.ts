import type { S3Server } from '../../../fixtures/radosgw.ts';
import { s3Client } from '../src/store/s3/client.ts';
import type { S3StoreOptions } from '../src/store/s3/s3-store.ts';
import type { S3Place } from '../src/store/s3/unfinished.ts';
import { unfinishedUploads } from '../src/store/s3/unfinished.ts';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';

/** Options of a store on the server, with parts as small as they may be. */
export function s3Options(
  server: Pick<S3Server, 'endpoint' | 'accessKey' | 'secretKey'> | undefined,
  { instanceId, bucket }: Pick<S3StoreOptions, 'instanceId' | 'bucket'>,
): S3StoreOptions {
  if (server === undefined) throw new Error('the S3 server does not run');
  return {
    id: 's',
    bucket,
    instanceId,
    createBucket: true,
    multipartFromBytes: 8 * 2 ** 20,
    partBytes: 5 * 2 ** 20,
    lanes: 2,
    connection: {
      endpoint: server.endpoint,
      region: 'us-east-1',
      accessKey: server.accessKey,
      secretKey: server.secretKey,
      addressing: 'path',
      connectTimeoutMs: 5000,
      idleTimeoutMs: 30_000,
      attempts: 2,
      connections: 10,
    },
  };
}

/** The bucket of a store. */
export function s3Place({ connection, bucket }: S3StoreOptions): S3Place {
  return { client: s3Client(connection), bucket };
}

/** The keys of all objects and of all unfinished uploads in the bucket of a store. */
export async function bucketContents(options: S3StoreOptions): Promise<readonly string[]> {
  const place = s3Place(options);
  const { Contents: objects = [] } = await place.client.send(new ListObjectsV2Command({ Bucket: place.bucket }));
  const uploads = await unfinishedUploads(place, '');
  return [...objects.map(({ Key: key }) => key ?? ''), ...uploads.map(({ key }) => `unfinished ${key}`)].toSorted();
}
