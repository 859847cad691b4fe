import type { ByteSource } from '../../bytes/byte-source.ts';
import { alignUp, checkedRange, fieldReader } from '../../bytes/numbers.ts';
import type { SnapshotInfo } from '../../image/disk-image.ts';
import { entryStream } from './entry-stream.ts';
import { faultError, tableFault } from './fault.ts';
import type { Qcow2Header } from './header.ts';
import { decodeName } from './header.ts';
import { MAX_L1_TABLE_SIZE, MAX_SNAPSHOT_EXTRA_DATA, MAX_SNAPSHOT_TABLE_SIZE, MAX_SNAPSHOTS } from './limits.ts';

const STRUCTURE = 'snapshot table';
const FIXED_LENGTH = 40;

/** One entry of the snapshot table. */
export interface Snapshot {
  readonly info: SnapshotInfo;
  readonly l1TableOffset: number;
  readonly l1Size: number;
  /** Byte offset of the entry in the file. */
  readonly offset: number;
}

/** The snapshot table with its place. */
export interface SnapshotTable {
  readonly snapshots: readonly Snapshot[];
  /** Bytes of the whole table. */
  readonly sizeBytes: number;
}

/** All snapshots. Throws `corrupt` or `truncated`. qcow2 specification, "Snapshots". */
export async function readSnapshotTable(source: ByteSource, header: Qcow2Header): Promise<readonly Snapshot[]> {
  return (await readSizedSnapshotTable(source, header)).snapshots;
}

/** As `readSnapshotTable`, with the table's length. */
export async function readSizedSnapshotTable(source: ByteSource, header: Qcow2Header): Promise<SnapshotTable> {
  const count = checkedRange(header.snapshotCount, 0, MAX_SNAPSHOTS, {
    format: 'qcow2',
    structure: 'header',
    field: 'nb_snapshots',
    offset: 60,
  });
  if (count === 0) return { snapshots: [], sizeBytes: 0 };
  const start = header.snapshotsOffset;
  const fault = tableFault(
    { structure: STRUCTURE, hostOffset: start, sizeBytes: FIXED_LENGTH, maxSizeBytes: FIXED_LENGTH, field: 64 },
    2 ** header.clusterBits,
    source.size,
  );
  if (fault !== undefined) throw faultError(fault);
  const stream = entryStream(source, { start, end: start + MAX_SNAPSHOT_TABLE_SIZE, structure: STRUCTURE });
  const snapshots: Snapshot[] = [];
  for (let index = 0; index < count; index++) {
    const offset = stream.position;
    snapshots.push(parseSnapshot(await takeEntry(stream), offset));
    // The padding after the last entry may lie beyond the end of the file.
    if (index < count - 1) await stream.take(alignUp(stream.position - offset, 8) - (stream.position - offset));
  }
  return { snapshots, sizeBytes: stream.position - start };
}

async function takeEntry(stream: ReturnType<typeof entryStream>): Promise<Uint8Array> {
  const offset = stream.position;
  const fixed = (await stream.take(FIXED_LENGTH)).slice();
  const fields = fieldReader(fixed, 'big', { format: 'qcow2', structure: STRUCTURE, offset });
  const extraLength = checkedRange(fields.u32(36), 0, MAX_SNAPSHOT_EXTRA_DATA, {
    format: 'qcow2',
    structure: STRUCTURE,
    field: 'size of extra data',
    offset: offset + 36,
  });
  const rest = await stream.take(extraLength + fields.u16(12) + fields.u16(14));
  const entry = new Uint8Array(FIXED_LENGTH + rest.length);
  entry.set(fixed);
  entry.set(rest, FIXED_LENGTH);
  return entry;
}

function parseSnapshot(entry: Uint8Array, offset: number): Snapshot {
  const fields = fieldReader(entry, 'big', { format: 'qcow2', structure: STRUCTURE, offset });
  const extraLength = fields.u32(36);
  const idStart = FIXED_LENGTH + extraLength;
  const nameStart = idStart + fields.u16(12);
  return {
    info: {
      id: decodeName(fields.bytes(idStart, fields.u16(12))),
      name: decodeName(fields.bytes(nameStart, fields.u16(14))),
      vmStateSize: extraLength >= 8 ? fields.u64(40, 'VM state size') : fields.u32(32),
      dateSeconds: fields.u32(16),
      dateNanoseconds: fields.u32(20),
      // Above 2^53 (104 days) only the last digits are lost.
      vmClockNanoseconds: Number(fields.bits64(24)),
      ...(extraLength >= 16 ? { virtualSize: fields.u64(48, 'virtual disk size') } : {}),
      ...(extraLength >= 24 ? icount(fields.bits64(56)) : {}),
    },
    l1TableOffset: fields.u64(0, 'L1 table offset'),
    l1Size: fields.u32(8),
    offset,
  };
}

function icount(value: bigint): { readonly icount?: number } {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? { icount: Number(value) } : {};
}

/** The snapshot's L1 table, judged as the active one is. Throws `corrupt` or `truncated`. */
export function checkSnapshotL1(snapshot: Snapshot, clusterSize: number, fileSize: number): void {
  const fault = tableFault(
    {
      structure: 'L1 table of a snapshot',
      hostOffset: snapshot.l1TableOffset,
      sizeBytes: snapshot.l1Size * 8,
      maxSizeBytes: MAX_L1_TABLE_SIZE,
      field: snapshot.offset,
    },
    clusterSize,
    fileSize,
  );
  if (fault !== undefined) throw faultError(fault);
}
