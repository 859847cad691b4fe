/** Remembers values for a time, and no more of them than `maxEntries`: the one that was used longest ago goes first. */
export interface BoundedCache<T> {
  get(key: string, now: number): T | undefined;
  /** `until` and `now` in milliseconds since 1970. */
  set(key: string, value: T, until: number): void;
  readonly size: number;
}

/** An empty cache. */
export function boundedCache<T>(maxEntries: number): BoundedCache<T> {
  // A Map keeps the order of insertion; what is used is inserted anew.
  const entries = new Map<string, { readonly value: T; readonly until: number }>();
  return {
    get(key, now) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entries.delete(key);
      if (entry.until <= now) return undefined;
      entries.set(key, entry);
      return entry.value;
    },
    set(key, value, until) {
      entries.delete(key);
      entries.set(key, { value, until });
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries) break;
        entries.delete(oldest);
      }
    },
    get size() {
      return entries.size;
    },
  };
}
