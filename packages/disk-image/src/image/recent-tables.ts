/** Tables that were read last, by index. */
export interface RecentTables<Table> {
  /** The table of that index, read when it is not in memory. */
  get(index: number, signal?: AbortSignal): Promise<Table>;
}

/** Keeps the `maxTables` tables that were used last; `load` reads one. Calls may overlap. */
export function recentTables<Table>(
  maxTables: number,
  load: (index: number, signal?: AbortSignal) => Promise<Table>,
): RecentTables<Table> {
  const tables = new Map<number, Table>();
  return {
    async get(index, signal) {
      const table = tables.get(index) ?? (await load(index, signal));
      tables.delete(index);
      tables.set(index, table);
      const oldest = tables.size > maxTables ? tables.keys().next() : undefined;
      if (oldest !== undefined && oldest.done !== true) tables.delete(oldest.value);
      return table;
    },
  };
}
