/** Most entries, of all kinds, in tables that another entry of the directory names too. */
const MAX_SHARED_ENTRIES: number = 2 ** 20;

/**
 * How many entries of a directory name a table that another one names too, when those are so many that a small file has a
 * disk of endless fragments; undefined when they are few. A table belongs to one entry, but a few that do not are damage
 * that can be read. `offsets` says for each entry where its table lies, 0 for none.
 */
export function sharedTables(offsets: Float64Array, entriesPerTable: number): number | undefined {
  if (offsets.length * entriesPerTable <= MAX_SHARED_ENTRIES) return undefined;
  const sorted = offsets.toSorted();
  let shared = 0;
  for (let i = 1; i < sorted.length; i++) if (sorted[i] !== 0 && sorted[i] === sorted[i - 1]) shared++;
  return shared * entriesPerTable > MAX_SHARED_ENTRIES ? shared : undefined;
}
