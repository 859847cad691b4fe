import type { ByteSink } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';
import { ENTRY_BYTES, putEntry, BLOCK } from './bat-entry.ts';
import { PAGE_ENTRIES } from './block-allocation-table.ts';
import type { Geometry } from './geometry.ts';
import { isBitmapIndex, payloadIndex } from './geometry.ts';

/** Writes the table of a new disk, 64 KiB at a time. */
export interface BatWriter {
  /** The block is fully present at `hostOffset`. Blocks come in ascending order. */
  place(block: number, hostOffset: number): Promise<void>;
  /** Writes what is left. */
  finish(): Promise<void>;
}

/** A table from `fileOffset` on in which every block that is not placed is in `emptyState`. */
export function batWriter(
  sink: ByteSink,
  fileOffset: number,
  table: { readonly geometry: Geometry; readonly emptyState: number },
): BatWriter {
  const { geometry, emptyState } = table;
  const bytes = new Uint8Array(PAGE_ENTRIES * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  let first = 0;
  const open = (): void => {
    bytes.fill(0);
    if (emptyState === BLOCK.notPresent) return;
    const end = Math.min(PAGE_ENTRIES, geometry.entries - first);
    for (let i = 0; i < end; i++) if (!isBitmapIndex(geometry, first + i)) putEntry(view, i, emptyState, 0);
  };
  const flush = async (): Promise<void> => {
    const length = Math.min(PAGE_ENTRIES, geometry.entries - first) * ENTRY_BYTES;
    await sink.write(fileOffset + first * ENTRY_BYTES, bytes.subarray(0, length));
  };
  const advance = async (): Promise<void> => {
    await flush();
    first += PAGE_ENTRIES;
    open();
  };
  open();
  return {
    async place(block, hostOffset) {
      const index = payloadIndex(geometry, block);
      assert(block < geometry.payloadBlocks && index >= first, 'blocks come in order and inside the disk');
      while (index >= first + PAGE_ENTRIES) await advance();
      putEntry(view, index - first, BLOCK.fullyPresent, hostOffset);
    },
    async finish() {
      while (first + PAGE_ENTRIES < geometry.entries) await advance();
      await flush();
    },
  };
}
