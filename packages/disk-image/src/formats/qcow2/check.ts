import type { ByteSource } from '../../bytes/byte-source.ts';
import { dataRanges } from '../../bytes/data-ranges.ts';
import { alignDown, alignUp } from '../../bytes/numbers.ts';
import type { CheckReport } from '../../image/format.ts';
import type { BitmapInfo } from './bitmap-directory.ts';
import { bitmapsAreConsistent } from './bitmap-directory.ts';
import type { WalkedL1 } from './check-mapping.ts';
import { checkCopiedFlags, walkL1Table, walkTables } from './check-mapping.ts';
import type { CheckState } from './check-state.ts';
import { addReferences, checkState, countWalk, reportCorruption } from './check-state.ts';
import { faultError, tableFault } from './fault.ts';
import { MAX_BITMAP_TABLE_SIZE } from './limits.ts';
import { readMetadata } from './metadata.ts';
import { compareRefcounts, readRefcountTable } from './refcount-table.ts';
import { checkSnapshotL1, readSizedSnapshotTable } from './snapshot-table.ts';
import { readTableWords } from './table-words.ts';

/**
 * Counts every reference to every cluster and compares with the refcounts, as `qemu-img check` does: the same counts of
 * corruptions, leaks, allocated, compressed and fragmented clusters. Beyond that, a data cluster that the file cuts
 * short is a corruption. Encrypted images can be checked. Throws the other faults of `readMetadata`, and `unsupported`
 * beyond `MAX_CHECK_MEMORY` or `MAX_CHECKED_TABLE_BYTES`.
 */
export async function checkQcow2(source: ByteSource): Promise<CheckReport> {
  const { state, blocks } = await countReferences(source);
  const { header, geometry } = state.metadata;
  const imageEndOffset = await compareRefcounts(state, blocks);
  await checkCopiedFlags(state, activeL1Of(state));
  return {
    corruptions: state.corruptions,
    leaks: state.leaks,
    findings: state.findings,
    allocatedUnits: state.allocatedClusters,
    totalUnits: Math.ceil(header.virtualSize / geometry.clusterSize),
    compressedUnits: state.compressedClusters,
    fragmentedUnits: state.fragmentedClusters,
    imageEndOffset,
  };
}

/** Every reference in an image, and where its refcount blocks lie. */
export interface CountedReferences {
  readonly state: CheckState;
  /** Byte offsets, 0 where there is none or a bad one. */
  readonly blocks: Float64Array;
}

/** Counts the references to every cluster. Throws as `checkQcow2` does. */
export async function countReferences(source: ByteSource): Promise<CountedReferences> {
  const metadata = await readMetadata(source);
  const fault = metadata.faults.find((candidate) => candidate.code !== 'encrypted');
  if (fault !== undefined) throw faultError(fault);
  const { geometry, extensions } = metadata;
  const state = checkState(source, metadata);
  addReferences(state, { what: 'header', hostOffset: 0, length: geometry.clusterSize });
  await walkL1Table(state, activeL1Of(state));
  await walkSnapshots(state);
  await walkTables(state);
  if (extensions.encryptionHeader !== undefined) {
    const { offset: hostOffset, length } = extensions.encryptionHeader;
    addReferences(state, { what: 'encryption header', hostOffset, length });
  }
  await walkBitmaps(state);
  return { state, blocks: await readRefcountTable(state) };
}

function activeL1Of(state: CheckState): WalkedL1 {
  const { header } = state.metadata;
  return { structure: 'L1 table', hostOffset: header.l1TableOffset, size: header.l1Size, active: true };
}

async function walkSnapshots(state: CheckState): Promise<void> {
  const { header, geometry } = state.metadata;
  const { snapshots, sizeBytes } = await readSizedSnapshotTable(state.source, header);
  for (const snapshot of snapshots) {
    checkSnapshotL1(snapshot, geometry.clusterSize, state.source.size);
    const walked: WalkedL1 = {
      structure: 'L1 table of a snapshot',
      hostOffset: snapshot.l1TableOffset,
      size: snapshot.l1Size,
      active: false,
    };
    await walkL1Table(state, walked);
  }
  addReferences(state, { what: 'snapshot table', hostOffset: header.snapshotsOffset, length: sizeBytes });
}

async function walkBitmaps(state: CheckState): Promise<void> {
  const { bitmaps } = state.metadata.extensions;
  if (bitmaps === undefined || !bitmapsAreConsistent(state.metadata.header)) return;
  const { directoryOffset: hostOffset, directorySize: length } = bitmaps;
  addReferences(state, { what: 'bitmap directory', hostOffset, length });
  for (const bitmap of state.metadata.bitmaps) await walkBitmapTable(state, bitmap);
}

async function walkBitmapTable(state: CheckState, bitmap: BitmapInfo): Promise<void> {
  const { clusterSize } = state.metadata.geometry;
  const place = {
    structure: 'bitmap table',
    hostOffset: bitmap.tableOffset,
    sizeBytes: bitmap.tableSize * 8,
    maxSizeBytes: MAX_BITMAP_TABLE_SIZE,
    field: bitmap.tableOffset,
  };
  const fault = tableFault(place, clusterSize, state.source.size);
  if (fault !== undefined) {
    reportCorruption(state, fault.code, fault.message, fault.offset);
    return;
  }
  addReferences(state, { what: 'bitmap table', hostOffset: place.hostOffset, length: place.sizeBytes });
  const end = place.hostOffset + place.sizeBytes;
  for (const range of dataRanges(state.source, place.hostOffset, end)) {
    const piece = { hostOffset: alignDown(range.start, 8), structure: place.structure };
    await walkBitmapEntries(state, bitmap, { ...piece, sizeBytes: alignUp(range.end, 8) - piece.hostOffset });
  }
}

async function walkBitmapEntries(
  state: CheckState,
  bitmap: BitmapInfo,
  piece: { readonly structure: string; readonly hostOffset: number; readonly sizeBytes: number },
): Promise<void> {
  const { clusterSize } = state.metadata.geometry;
  countWalk(state, 'bitmap table', piece.sizeBytes);
  const words = await readTableWords(state.source, piece);
  for (let i = 0; i < words.length / 2; i++) {
    const hostOffset = (words[i * 2] ?? 0) * 2 ** 32 + (words[i * 2 + 1] ?? 0);
    // Without an offset, bit 0 says what the bitmap holds there: all zeros or all ones.
    if (hostOffset <= 1) continue;
    if (hostOffset % clusterSize === 0) {
      addReferences(state, { what: 'bitmap data', hostOffset, length: clusterSize });
      continue;
    }
    const offset = piece.hostOffset + i * 8;
    const index = (offset - bitmap.tableOffset) / 8;
    const message = `Entry ${index} of the table of bitmap ${JSON.stringify(bitmap.name)} is not cluster-aligned`;
    reportCorruption(state, 'corrupt-table', message, offset);
  }
}
