import { readFile } from 'node:fs/promises';
import type { S3StoreSettings, StoreSettings } from './config/store-settings.ts';
import { copyBytes } from './staging/copy.ts';
import type { SpaceBook } from './staging/space.ts';
import { fileStore } from './store/file-store.ts';
import type { S3Store, S3StoreOptions } from './store/s3/s3-store.ts';
import type { ImageStore } from './store/store.ts';

/** What all stores of an installation share. */
export interface StoreSurroundings {
  /** The installation's id, a UUID. */
  readonly instanceId: string;
  /** Bytes that must stay free in stores of files. */
  readonly marginBytes: number;
  /** In which promises of space stand. */
  readonly space: SpaceBook;
}

/** Opens the configured stores, by id. What only some kinds need is loaded only for them. */
export async function openStores(
  settings: readonly StoreSettings[],
  surroundings: StoreSurroundings,
): Promise<ReadonlyMap<string, ImageStore>> {
  const stores = new Map<string, ImageStore>();
  for (const each of settings) stores.set(each.id, await openStore(each, surroundings));
  return stores;
}

async function openStore(settings: StoreSettings, surroundings: StoreSurroundings): Promise<ImageStore> {
  const { id, type, weight } = settings;
  if (type === 'file') {
    const { space, ...rest } = surroundings;
    const { directories, layout } = settings;
    return fileStore({ id, weight, directories, layout, copy: copyBytes, room: (path) => space.ledger(path), ...rest });
  }
  if (type === 's3') return openS3Store(settings, { instanceId: surroundings.instanceId });
  const { httpStore } = await import('./store/http-store.ts');
  const { allowedAddresses, idleTimeoutMs, cacert } = settings;
  return httpStore({ id, weight, allowedAddresses, idleTimeoutMs, ...(await trusted(cacert)) });
}

/** Opens a bucket. `purpose`: for something else than finished images. */
export async function openS3Store(
  settings: S3StoreSettings,
  { instanceId, purpose }: Pick<S3StoreOptions, 'instanceId' | 'purpose'>,
): Promise<S3Store> {
  const { s3Store } = await import('./store/s3/s3-store.ts');
  const { endpoint, region, accessKey, secretKey, addressing, connectTimeoutMs, idleTimeoutMs, attempts } = settings;
  const { id, weight, bucket, createBucket, multipartFromBytes, partBytes, lanes, cacert } = settings;
  const connection = { endpoint, region, accessKey, secretKey, addressing, connectTimeoutMs, idleTimeoutMs, attempts };
  return s3Store({
    id,
    weight,
    bucket,
    createBucket,
    multipartFromBytes,
    partBytes,
    lanes,
    instanceId,
    ...(purpose === undefined ? {} : { purpose }),
    connection: { ...connection, connections: S3_CONNECTIONS, ...(await trusted(cacert)) },
  });
}

/** Connections of one store at the same time: those of all puts and reads, each with several parts. */
const S3_CONNECTIONS = 256;

async function trusted(cacert: string | undefined): Promise<{ readonly authorities?: string }> {
  return cacert === undefined ? {} : { authorities: await readFile(cacert, 'utf8') };
}
