import type { ByteSource } from '../../bytes/byte-source.ts';
import type { DiskImage } from '../../image/disk-image.ts';
import { normalizeExtents } from '../../image/extent.ts';
import { ownFile } from '../../image/file-holes.ts';
import type { OpenContext } from '../../image/format.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import { neededL1Entries } from './cluster-geometry.ts';
import { faultError } from './fault.ts';
import { guestDisk } from './guest-disk.ts';
import { dataFileReference, imageInfo } from './image-info.ts';
import type { L1Table } from './l1-table.ts';
import { sharedTablesDamage } from './l1-table.ts';
import { l2Tables } from './l2-table.ts';
import type { Metadata } from './metadata.ts';
import { readMetadata } from './metadata.ts';
import { qcow2Error } from './qcow2-error.ts';
import type { Snapshot } from './snapshot-table.ts';
import { checkSnapshotL1 } from './snapshot-table.ts';
import { readTableWords } from './table-words.ts';

/**
 * Opens the image, or the snapshot that the context names. Dirty and corrupt-marked images open (`info` says so):
 * a wrong refcount does not change what is read, and every table that is used is checked when it is.
 * Throws the first fault that `readMetadata` finds, `unsafe` for a data file that no policy grants, `out_of_bounds`
 * for a snapshot that does not exist.
 */
export async function openQcow2(source: ByteSource, context: OpenContext): Promise<DiskImage> {
  const metadata = await readMetadata(source);
  const fault = metadata.faults[0];
  if (fault !== undefined) throw faultError(fault);
  const disk = selectDisk(source, metadata, context.snapshot);
  const l1 = await readL1Table(source, disk, metadata.geometry);
  refuseSharedTables({ words: l1, hostOffset: disk.l1TableOffset }, metadata.geometry);
  const dataFile = dataFileReference(metadata);
  const data = dataFile === undefined ? source : (await context.references(dataFile)).source;
  const mapping = {
    geometry: metadata.geometry,
    tables: l2Tables(source, { words: l1, hostOffset: disk.l1TableOffset }, metadata.geometry),
    data,
    dataFileName: dataFile?.name,
  };
  const guest = guestDisk(mapping, disk.virtualSize, context.codecs);
  return {
    info: { ...imageInfo(metadata), virtualSize: disk.virtualSize },
    virtualSize: disk.virtualSize,
    ...(data === source ? ownFile(source) : {}),
    extents: (range) => normalizeExtents(range, guest.extents(range)),
    read: guest.read,
    async close() {
      if (data !== source) await data.close();
      await source.close();
    },
  };
}

interface SelectedDisk {
  readonly virtualSize: number;
  readonly l1TableOffset: number;
  readonly l1Size: number;
}

function selectDisk(source: ByteSource, metadata: Metadata, wanted: string | undefined): SelectedDisk {
  if (wanted === undefined) return metadata.header;
  const snapshot = findSnapshot(metadata.snapshots, wanted);
  checkSnapshotL1(snapshot, metadata.geometry.clusterSize, source.size);
  const virtualSize = snapshot.info.virtualSize ?? metadata.header.virtualSize;
  return { virtualSize, l1TableOffset: snapshot.l1TableOffset, l1Size: snapshot.l1Size };
}

function findSnapshot(snapshots: readonly Snapshot[], wanted: string): Snapshot {
  const found =
    snapshots.find((snapshot) => snapshot.info.id === wanted) ??
    snapshots.find((snapshot) => snapshot.info.name === wanted);
  if (found !== undefined) return found;
  throw qcow2Error('out_of_bounds', `The image has no snapshot with the id or name ${JSON.stringify(wanted)}`, {
    structure: 'snapshot table',
  });
}

async function readL1Table(source: ByteSource, disk: SelectedDisk, geometry: ClusterGeometry): Promise<Uint32Array> {
  const entries = neededL1Entries(disk.virtualSize, geometry);
  if (entries > disk.l1Size) {
    throw qcow2Error(
      'corrupt',
      `The L1 table has ${disk.l1Size} entries; a disk of ${disk.virtualSize} bytes needs ${entries}`,
      { structure: 'L1 table', offset: disk.l1TableOffset },
    );
  }
  return readTableWords(source, {
    structure: 'L1 table',
    hostOffset: disk.l1TableOffset,
    sizeBytes: entries * 8,
  });
}

function refuseSharedTables(l1: L1Table, geometry: ClusterGeometry): void {
  const damage = sharedTablesDamage(l1, geometry);
  if (damage === undefined) return;
  throw qcow2Error('corrupt', damage, { structure: 'L1 table', offset: l1.hostOffset });
}
