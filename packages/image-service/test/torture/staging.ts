import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { S3Server } from '../../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../../fixtures/radosgw.ts';
import { bucketContents, s3Options } from '../s3-world.ts';
import type { StateOptions } from './installation.ts';

/** Where staged data waits. */
export interface Staging {
  /** Makes the place in `dir`, or elsewhere; gives the options that name it. */
  prepare(dir: string): Promise<StateOptions>;
  /** Everything in it. */
  contents(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

/** Parts as small as they may be: the larger samples are sent in several. */
const PART_MIB = 5;

/** A directory that all processes share. */
export function directoryStaging(): Staging {
  let directory = '';
  return {
    async prepare(dir) {
      directory = join(dir, 'staging');
      await mkdir(directory);
      return { os_glance_staging_store: { filesystem_store_datadir: directory } };
    },
    contents: () => readdir(directory, { recursive: true }),
    remove: async () => {},
  };
}

/** A bucket of a real S3 server. */
export function bucketStaging(): Staging {
  const bucket = `staging-${randomUUID()}`;
  let server: S3Server | undefined;
  return {
    async prepare() {
      server = await startRadosgw();
      return {
        os_glance_staging_store: {
          s3_store_host: server.endpoint,
          s3_store_access_key: server.accessKey,
          s3_store_secret_key: server.secretKey,
          s3_store_bucket: bucket,
          s3_store_create_bucket_on_put: 'true',
          s3_store_large_object_size: String(PART_MIB),
          s3_store_large_object_chunk_size: String(PART_MIB),
        },
      };
    },
    contents: () => bucketContents(s3Options(server, { instanceId: randomUUID(), bucket })),
    remove: async () => server?.stop(),
  };
}
