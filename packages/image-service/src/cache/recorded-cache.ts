import type { ImageCache } from './image-cache.ts';

/**
 * The same cache; whatever changes it, `record` gets the ids of all images that it has then, one call after the other, and once
 * at the beginning. What fails there is logged.
 */
export function recordedCache(
  cache: ImageCache,
  record: (imageIds: readonly string[]) => Promise<void>,
  log: (message: string) => void,
): ImageCache {
  let last: Promise<void> = Promise.resolve();
  const note = (): Promise<void> => {
    last = last
      .then(async () => record([...new Set((await cache.list()).map(({ imageId }) => imageId))]))
      .catch((error: unknown) => log(`what is cached here could not be told to others: ${String(error)}`));
    return last;
  };
  void note();
  return {
    ...cache,
    async *keep(key, sizeBytes, bytes) {
      try {
        yield* cache.keep(key, sizeBytes, bytes);
      } finally {
        await note();
      }
    },
    async remove(imageId) {
      await cache.remove(imageId);
      await note();
    },
    async clear() {
      await cache.clear();
      await note();
    },
    async clean(isWanted) {
      await cache.clean(isWanted);
      await note();
    },
    async prune() {
      const pruned = await cache.prune();
      await note();
      return pruned;
    },
  };
}
