import type { FileHandle } from 'node:fs/promises';
import type { CacheRoads } from './api/cache.ts';
import type { ImageCache } from './cache/image-cache.ts';
import { openImageCache } from './cache/image-cache.ts';
import { recordedCache } from './cache/recorded-cache.ts';
import type { CopyKey } from './cache/cached-name.ts';
import { CatalogError } from './catalog/errors.ts';
import type { ImageRecord } from './catalog/image.ts';
import type { ImageRepo } from './catalog/repositories.ts';
import type { WholeService } from './main.ts';
import type { StoredData, StoredPlace } from './import/stored-data.ts';

/** What serving images from a cache needs. */
export interface CachedImageParts {
  readonly cache: ImageCache;
  readonly images: ImageRepo;
  /** The data of an image from its stores. */
  readonly openStored: (image: ImageRecord, prefer?: readonly string[]) => Promise<StoredPlace | undefined>;
  readonly log: (message: string) => void;
}

/** The cache as images go through it. */
export interface CachedImages {
  /** As `openStored`, from the cache where it has the image. Whole downloads from stores that are not of this machine fill it. */
  open(image: ImageRecord, prefer?: readonly string[]): Promise<StoredData | undefined>;
  /** The copy in the cache, open for reading; undefined when there is none. */
  openCopy(image: ImageRecord): Promise<FileHandle | undefined>;
  /** What administrators do with it. */
  readonly roads: CacheRoads;
  /** Copies what waits, from now until the returned function is called, which waits for what is under way. */
  start(): () => Promise<void>;
}

/** How often is looked for images that could not be copied before. */
const RETRY_MS = 300_000;

/** The cache as configured; undefined when there is none. */
export async function openConfiguredCache({ configuration, parts }: WholeService): Promise<ImageCache | undefined> {
  const { cache } = configuration.limits;
  if (cache === undefined) return undefined;
  const { node } = cache;
  const opened = await openImageCache({
    ...cache,
    marginBytes: configuration.freeSpaceMargin,
    hash: (bytes) => {
      const hashed = parts.staging.hashed(bytes, ['sha512']);
      return { bytes: hashed.bytes, digest: async () => (await hashed.result()).digests.sha512 };
    },
    now: parts.now,
    log: parts.log,
  });
  if (node === undefined) return opened;
  return recordedCache(opened, (imageIds) => parts.catalog.cachedImages.replace(node, imageIds), parts.log);
}

/** Serves images from the cache. */
export function cachedImages(parts: CachedImageParts): CachedImages {
  const { cache, openStored, log } = parts;
  let running: Promise<void> | undefined;
  let again = false;
  let stopping = new AbortController();
  const work = (): void => {
    again = true;
    running ??= (async () => {
      while (again && !stopping.signal.aborted) {
        again = false;
        for (const imageId of await cache.queue.queued()) {
          if (stopping.signal.aborted) return;
          await copyQueued(parts, imageId, stopping.signal);
        }
      }
    })()
      .catch((error: unknown) => log(`images could not be brought into the cache: ${String(error)}`))
      .finally(() => (running = undefined));
  };
  return {
    async open(image, prefer) {
      const key = keyOf(image);
      if (key === undefined || image.size === null) return openStored(image, prefer);
      const copy = await cache.open(key, image.size);
      if (copy !== undefined) {
        const { sizeBytes } = copy;
        return { sizeBytes, read: (range) => copy.read(range, () => fromStores(parts, image, range)) };
      }
      const place = await openStored(image, prefer);
      if (place === undefined || place.store.type === 'file' || place.sizeBytes !== image.size) return place;
      return {
        sizeBytes: place.sizeBytes,
        read: (range) => (range === undefined ? cache.keep(key, place.sizeBytes, place.read()) : place.read(range)),
      };
    },
    async openCopy(image) {
      const key = keyOf(image);
      if (key === undefined || image.size === null) return undefined;
      return (await cache.open(key, image.size))?.file();
    },
    roads: cacheRoads(parts, work),
    start() {
      stopping = new AbortController();
      work();
      const timer = setInterval(work, RETRY_MS).unref();
      return async () => {
        clearInterval(timer);
        stopping.abort();
        await running;
      };
    },
  };
}

function cacheRoads({ cache, images }: CachedImageParts, work: () => void): CacheRoads {
  return {
    list: async () => ({ cached: await cache.list(), queued: await cache.queue.queued() }),
    async enqueue(imageId) {
      await cache.queue.enqueue(imageId);
      work();
    },
    async forget(imageId) {
      const waits = (await cache.queue.queued()).includes(imageId);
      const copies = (await cache.list()).filter((copy) => copy.imageId === imageId);
      await cache.queue.dequeue(imageId);
      await cache.remove(imageId);
      return waits || copies.length > 0;
    },
    async clear(what) {
      const queued = what === 'queue' ? await cache.queue.queued() : [];
      for (const imageId of queued) await cache.queue.dequeue(imageId);
      if (what === 'queue') return queued.length;
      const copies = await cache.list();
      await cache.clear();
      return copies.length;
    },
    clean: () => cache.clean(async (key) => keyOf(await imageOf(images, key.imageId))?.digest === key.digest),
    prune: () => cache.prune(),
  };
}

/** What its copy is known by; undefined for an image that is not to be served, or whose digest nobody knows. */
export function keyOf(image: ImageRecord | undefined): CopyKey | undefined {
  if (image?.status !== 'active' || image.osHashAlgo !== 'sha512' || image.osHashValue === null) return undefined;
  return { imageId: image.id, digest: image.osHashValue };
}

async function imageOf(images: ImageRepo, id: string): Promise<ImageRecord | undefined> {
  return images.get(id).catch((error: unknown) => {
    if (error instanceof CatalogError && error.code === 'not_found') return undefined;
    throw error;
  });
}

/** The bytes from the stores, for a copy that went away between the look and the reading. */
async function* fromStores(
  { openStored }: CachedImageParts,
  image: ImageRecord,
  range: Parameters<StoredData['read']>[0],
): AsyncGenerator<Uint8Array> {
  const place = await openStored(image);
  if (place !== undefined) yield* place.read(range);
}

/** Copies one image of the queue. What cannot be copied for good waits no longer; what fails stays for the next time. */
async function copyQueued(parts: CachedImageParts, imageId: string, signal: AbortSignal): Promise<void> {
  const { cache, images, openStored, log } = parts;
  try {
    const image = await imageOf(images, imageId);
    const key = keyOf(image);
    if (image !== undefined && key !== undefined && !(await cache.has(key))) {
      const place = await openStored(image);
      if (place === undefined) return await cache.queue.dequeue(imageId);
      for await (const _piece of cache.keep(key, place.sizeBytes, place.read())) if (signal.aborted) return;
      if (!(await cache.has(key))) log(`image ${imageId} was not brought into the cache`);
    }
    await cache.queue.dequeue(imageId);
  } catch (error) {
    log(`image ${imageId} could not be brought into the cache yet: ${String(error)}`);
  }
}
