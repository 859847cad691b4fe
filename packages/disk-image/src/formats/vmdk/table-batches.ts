import { ImageError } from '../../errors.ts';
import type { PlacedRun, TargetLayout } from '../../image/target.ts';
import { ENTRY_ZERO } from './grain-table.ts';
import { SECTOR_SIZE } from './sector.ts';
import { NEW_GRAIN_SIZE, NEW_TABLE_ENTRIES, NEW_TABLE_SIZE, NEW_TABLE_SPAN } from './sparse-layout.ts';

/** Grain tables of one file that follow each other, ready to be written. */
export interface TableBatch {
  /** Index into the layout's files. */
  readonly file: number;
  readonly firstTable: number;
  readonly tableCount: number;
  /** `tableCount` tables of 2048 bytes, one after the other; valid until the next batch is asked for. */
  readonly bytes: Uint8Array;
}

/** 64 KiB of tables at a time. */
const TABLES_PER_BATCH = 32;
/** Entries are sector numbers of 32 bits. */
const MAX_HOST_OFFSET: number = 0xffffffff * SECTOR_SIZE;

/**
 * The grain tables of all runs, in order, those without any grain left out. Memory does not grow with the disk.
 * Throws `out_of_bounds` when grains lie too far for an entry.
 */
export async function* tableBatches(
  layout: TargetLayout,
  runs: AsyncIterable<readonly PlacedRun[]>,
): AsyncGenerator<TableBatch> {
  const bytes = new Uint8Array(TABLES_PER_BATCH * NEW_TABLE_SIZE);
  const view = new DataView(bytes.buffer);
  let open = { file: -1, firstTable: 0, tableCount: 0 };
  const batch = (): TableBatch => ({ ...open, bytes: bytes.subarray(0, open.tableCount * NEW_TABLE_SIZE) });
  for await (const placed of runs) {
    for (const run of placed) {
      const start = run.guestOffset - (layout.files[run.file]?.guestOffset ?? 0);
      for (let unit = 0; unit < run.unitCount; unit++) {
        const guestOffset = start + unit * NEW_GRAIN_SIZE;
        const table = Math.floor(guestOffset / NEW_TABLE_SPAN);
        const slot = table - open.firstTable;
        if (run.file !== open.file || slot > open.tableCount || slot >= TABLES_PER_BATCH) {
          if (open.tableCount > 0) yield batch();
          bytes.fill(0);
          open = { file: run.file, firstTable: table, tableCount: 1 };
        } else open.tableCount = slot + 1;
        const grain = (guestOffset / NEW_GRAIN_SIZE) % NEW_TABLE_ENTRIES;
        const at = (table - open.firstTable) * NEW_TABLE_SIZE + grain * 4;
        view.setUint32(
          at,
          run.storedLength === 0 ? ENTRY_ZERO : grainEntry(run.hostOffset + unit * run.storedLength),
          true,
        );
      }
    }
  }
  if (open.tableCount > 0) yield batch();
}

function grainEntry(hostOffset: number): number {
  if (hostOffset <= MAX_HOST_OFFSET) return hostOffset / SECTOR_SIZE;
  throw new ImageError(
    'out_of_bounds',
    'The disk holds more than 2 TiB of data, more than a sparse VMDK file can; choose twoGbMaxExtentSparse',
    { format: 'vmdk', structure: 'grain table', offset: hostOffset },
  );
}
