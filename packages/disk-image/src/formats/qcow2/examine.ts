import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { Finding, Severity } from '../../image/finding.ts';
import type { Examination } from '../../image/format.ts';
import { describeReference } from '../../image/reference.ts';
import { bitmapsAreConsistent } from './bitmap-directory.ts';
import { neededL1Entries } from './cluster-geometry.ts';
import { faultFinding } from './fault.ts';
import { AUTOCLEAR, COMPATIBLE } from './header.ts';
import { dataFileReference, imageInfo } from './image-info.ts';
import { l1EntryDamage, rawL2TableOffset, sharedTablesDamage } from './l1-table.ts';
import { MAX_EXAMINED_L1_ENTRIES } from './limits.ts';
import type { Metadata } from './metadata.ts';
import { readMetadata } from './metadata.ts';
import { checkSnapshotL1 } from './snapshot-table.ts';
import { l2OverlapTest, overlapFindings } from './table-overlap.ts';
import { readTableWords } from './table-words.ts';

/**
 * Header, extensions, snapshot table, bitmap directory, and the first `MAX_EXAMINED_L1_ENTRIES` entries of the L1
 * table; no L2 table, so the time it takes does not grow with the disk. Throws as `readHeader` does.
 */
export async function examineQcow2(source: ByteSource): Promise<Examination> {
  const metadata = await readMetadata(source);
  const l1Findings = metadata.faults.some((fault) => fault.structure === 'L1 table')
    ? []
    : await examineL1Table(source, metadata);
  return {
    info: imageInfo(metadata),
    findings: [
      ...metadata.faults.map(faultFinding),
      ...overlapFindings(metadata),
      ...l1Findings,
      ...examineSnapshots(source, metadata),
      ...describeState(metadata),
      ...describeContents(metadata),
    ],
  };
}

async function examineL1Table(source: ByteSource, metadata: Metadata): Promise<Finding[]> {
  const { header, geometry } = metadata;
  const entries = Math.min(neededL1Entries(header.virtualSize, geometry), MAX_EXAMINED_L1_ENTRIES);
  const hostOffset = header.l1TableOffset;
  const place = { structure: 'L1 table', hostOffset, sizeBytes: entries * 8 };
  const l1 = { words: await readTableWords(source, place), hostOffset };
  const overlapOf = l2OverlapTest(metadata);
  for (let index = 0; index < entries; index++) {
    const offset = hostOffset + index * 8;
    const damage = l1EntryDamage(l1, index, geometry);
    if (damage !== undefined) return [finding('corrupt-table', 'unsafe', `L1 entry ${index} ${damage}`, offset)];
    const l2Offset = rawL2TableOffset(l1, index);
    if (l2Offset !== 0 && l2Offset + geometry.clusterSize > source.size) {
      const message = `The L2 table at byte ${l2Offset} leaves the file, which ends at ${source.size}`;
      return [finding('truncated', 'unsafe', message, offset)];
    }
    const overlap = l2Offset === 0 ? undefined : overlapOf(l2Offset);
    if (overlap !== undefined) return [overlap];
  }
  const shared = sharedTablesDamage(l1, geometry);
  return shared === undefined ? [] : [finding('corrupt-table', 'unsafe', shared, hostOffset)];
}

function examineSnapshots(source: ByteSource, metadata: Metadata): Finding[] {
  for (const snapshot of metadata.snapshots) {
    try {
      checkSnapshotL1(snapshot, metadata.geometry.clusterSize, source.size);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      const code = error.code === 'truncated' ? 'table-outside-file' : 'corrupt-table';
      return [finding(code, 'unsafe', error.message, snapshot.offset)];
    }
  }
  return [];
}

function describeState(metadata: Metadata): Finding[] {
  const findings: Finding[] = [];
  const info = imageInfo(metadata);
  const dataFile = dataFileReference(metadata);
  if (info.backing !== undefined) {
    const message = `The image needs another file: ${describeReference(info.backing)}`;
    findings.push(finding('backing-file', 'unsafe', message, 8));
  }
  if (dataFile !== undefined) {
    const message = `The guest data lies in another file: ${describeReference(dataFile)}`;
    findings.push(finding('data-file', 'unsafe', message, 72));
  }
  if (info.dirty) {
    const message = 'The image was not closed properly: its refcounts may be wrong, which does not change what is read';
    findings.push(finding('dirty', 'warning', message, 72));
  }
  if (info.corrupt) {
    findings.push(
      finding('corrupt-flag', 'warning', 'A program marked the image as corrupt: any of its tables may be wrong', 72),
    );
  }
  return findings;
}

function describeContents(metadata: Metadata): Finding[] {
  const { header, extensions } = metadata;
  const findings: Finding[] = [];
  const add = (code: string, message: string, offset: number, severity: Severity = 'info'): void => {
    findings.push(finding(code, severity, message, offset));
  };
  if ((header.compatibleFeatures & COMPATIBLE.lazyRefcounts) !== 0n) {
    add('lazy-refcounts', 'Refcounts are updated lazily while the image is in use', 80);
  }
  if (metadata.geometry.externalData && (header.autoclearFeatures & AUTOCLEAR.rawExternalData) !== 0n) {
    add('external-data-raw', 'The external data file can be read as a raw image by itself', 88);
  }
  if (metadata.snapshots.length > 0) {
    add(
      'snapshots',
      `The image holds ${metadata.snapshots.length} internal snapshots, which may hold deleted data`,
      60,
    );
  }
  const bitmaps = extensions.all.find((extension) => extension.name === 'bitmaps');
  if (bitmaps !== undefined) {
    add('bitmaps', `The image holds ${extensions.bitmaps?.count ?? 0} persistent bitmaps`, bitmaps.offset);
    if (!bitmapsAreConsistent(header)) {
      add('bitmaps-inconsistent', 'The persistent bitmaps are outdated', bitmaps.offset, 'warning');
    }
  }
  for (const extension of extensions.all) {
    if (extension.name !== undefined) continue;
    add('unknown-header-extension', `Header extension 0x${extension.type.toString(16)} is not known`, extension.offset);
  }
  return findings;
}

function finding(code: string, severity: Severity, message: string, offset: number): Finding {
  return { code, severity, offset, message };
}
