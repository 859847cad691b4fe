import { readBytes } from '../../../bytes/byte-source.ts';
import { alignUp } from '../../../bytes/numbers.ts';
import type { SnapshotRequest } from '../../../image/editor.ts';
import { MAX_SNAPSHOT_TABLE_SIZE } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { Snapshot } from '../snapshot-table.ts';
import { readSizedSnapshotTable } from '../snapshot-table.ts';
import type { EditedImage } from './edited-image.ts';

const FIXED_LENGTH = 40;
/** Large VM state size, disk size, icount. */
const EXTRA_LENGTH = 24;
/** Version 3 needs the disk size, version 2 knows no extra data at all. */
const MIN_VERSION_3_EXTRA = 16;
const NO_ICOUNT = 0xffffffffffffffffn;
const MAX_U16 = 0xffff;

/** An entry of the snapshot table with its bytes, unpadded. */
export interface SnapshotEntry {
  readonly snapshot: Snapshot;
  readonly bytes: Uint8Array;
}

/** The whole snapshot table, entry by entry. */
export async function readSnapshotEntries(image: EditedImage): Promise<readonly SnapshotEntry[]> {
  const { header } = image.metadata;
  const { snapshots, sizeBytes } = await readSizedSnapshotTable(image.file.source, header);
  const table = await readBytes(image.file.source, header.snapshotsOffset, sizeBytes);
  return snapshots.map((snapshot) => {
    const start = snapshot.offset - header.snapshotsOffset;
    const view = new DataView(table.buffer, start);
    const length = FIXED_LENGTH + view.getUint32(36) + view.getUint16(12) + view.getUint16(14);
    return { snapshot, bytes: table.slice(start, start + length) };
  });
}

/** A new entry, for a disk-only snapshot. qcow2 specification, "Snapshots". */
export function encodeSnapshot(
  request: SnapshotRequest,
  state: { readonly id: string; readonly l1TableOffset: number; readonly l1Size: number; readonly virtualSize: number },
): Uint8Array {
  const id = new TextEncoder().encode(state.id);
  const name = new TextEncoder().encode(request.name);
  if (name.length > MAX_U16) throw tooLong(`The name has ${name.length} bytes; ${MAX_U16} is the most`);
  const bytes = new Uint8Array(FIXED_LENGTH + EXTRA_LENGTH + id.length + name.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(state.l1TableOffset));
  view.setUint32(8, state.l1Size);
  view.setUint16(12, id.length);
  view.setUint16(14, name.length);
  view.setUint32(16, request.dateSeconds);
  view.setUint32(20, request.dateNanoseconds);
  view.setUint32(36, EXTRA_LENGTH);
  view.setBigUint64(48, BigInt(state.virtualSize));
  view.setBigUint64(56, NO_ICOUNT);
  bytes.set(id, FIXED_LENGTH + EXTRA_LENGTH);
  bytes.set(name, FIXED_LENGTH + EXTRA_LENGTH + id.length);
  return bytes;
}

/** The entry with the extra data that version 3 requires: the size of the disk, taken from the image where it is missing. */
export function withDiskSize(entry: SnapshotEntry, virtualSize: number): Uint8Array {
  const view = new DataView(entry.bytes.buffer, entry.bytes.byteOffset);
  const extraLength = view.getUint32(36);
  if (extraLength >= MIN_VERSION_3_EXTRA) return entry.bytes;
  const bytes = new Uint8Array(entry.bytes.length - extraLength + MIN_VERSION_3_EXTRA);
  bytes.set(entry.bytes.subarray(0, FIXED_LENGTH));
  bytes.set(entry.bytes.subarray(FIXED_LENGTH + extraLength), FIXED_LENGTH + MIN_VERSION_3_EXTRA);
  const written = new DataView(bytes.buffer);
  written.setUint32(36, MIN_VERSION_3_EXTRA);
  written.setBigUint64(40, BigInt(entry.snapshot.info.vmStateSize));
  written.setBigUint64(48, BigInt(virtualSize));
  return bytes;
}

/** The table of these entries, each padded to 8 bytes. Throws `out_of_bounds` above the largest table. */
export function encodeSnapshotTable(entries: readonly Uint8Array[]): Uint8Array {
  const length = entries.reduce((sum, entry) => sum + alignUp(entry.length, 8), 0);
  if (length > MAX_SNAPSHOT_TABLE_SIZE) throw tooLong('The snapshot table is full');
  const table = new Uint8Array(length);
  let at = 0;
  for (const entry of entries) {
    table.set(entry, at);
    at += alignUp(entry.length, 8);
  }
  return table;
}

function tooLong(message: string): Error {
  return qcow2Error('out_of_bounds', message, { structure: 'snapshot table' });
}

/** The id after the largest number among the ids. */
export function nextSnapshotId(snapshots: readonly Snapshot[]): string {
  const numbers = snapshots.map((snapshot) => Number.parseInt(snapshot.info.id, 10)).filter(Number.isSafeInteger);
  return `${Math.max(0, ...numbers) + 1}`;
}
