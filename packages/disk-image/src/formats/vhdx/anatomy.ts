import type { ByteSource } from '../../bytes/byte-source.ts';
import { isPowerOfTwo } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import { shownText, tableFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import { batSizeFindings } from './block-allocation-table.ts';
import type { Geometry } from './geometry.ts';
import { geometryOf } from './geometry.ts';
import type { Headers, VhdxHeader } from './header.ts';
import { readHeaders } from './header.ts';
import {
  MAX_BLOCK_SIZE,
  MAX_DISK_SIZE,
  MAX_LOG_BYTES,
  MAX_REGION_BYTES,
  MIB,
  MIN_BLOCK_SIZE,
  SECTOR_SIZES,
} from './limits.ts';
import { replayLog } from './log-replay.ts';
import type { Metadata } from './metadata-table.ts';
import { readMetadata } from './metadata-table.ts';
import type { ParentLocator } from './parent-locator.ts';
import { parentLinkage, parentPath, readParentLocator } from './parent-locator.ts';
import type { Region, RegionTable } from './region-table.ts';
import { BAT_REGION, METADATA_REGION, readRegionTable, REGION_TABLE_OFFSETS, requiredRegion } from './region-table.ts';
import { vhdxError } from './vhdx-error.ts';

/** Everything that stands before the block allocation table, and what is wrong with it. */
export interface Anatomy {
  /** The file with its log applied; as it lies there when the log cannot be. */
  readonly source: ByteSource;
  readonly headers: Headers;
  /** Log entries that were applied in memory. */
  readonly replayedEntries: number;
  readonly regions: readonly Region[];
  readonly batRegion: Region;
  readonly metadata: Metadata;
  /** Undefined when the sizes in the metadata are not possible. */
  readonly geometry: Geometry | undefined;
  readonly parent: ParentLocator | undefined;
  readonly findings: readonly Finding[];
}

const KNOWN_REGIONS: ReadonlySet<string> = new Set([BAT_REGION, METADATA_REGION]);

/**
 * Reads headers, log, region table, metadata and parent locator, in this order, as each may change the next.
 * Throws `wrong_format`, or `corrupt`/`truncated` when one of them cannot be understood; the rest are findings.
 */
export async function readAnatomy(file: ByteSource): Promise<Anatomy> {
  const headers = await readHeaders(file);
  const findings: Finding[] = [...headerFindings(file.size, headers)];
  const { source, entries } = await replayOrFind(file, headers.current, findings);
  const table = await readRegionTable(source);
  const batRegion = requiredRegion(table.regions, BAT_REGION);
  const metadata = await readMetadata(source, requiredRegion(table.regions, METADATA_REGION));
  const parent = metadata.hasParent ? await readParent(source, metadata) : undefined;
  const geometry = hasSaneSizes(metadata) ? geometryOf(metadata) : undefined;
  findings.push(...regionFindings(source.size, table, headers.current), ...metadataFindings(metadata));
  if (parent !== undefined) findings.push(...parentFindings(parent));
  if (geometry !== undefined) findings.push(...batSizeFindings(batRegion, geometry));
  return {
    source,
    headers,
    replayedEntries: entries,
    regions: table.regions,
    batRegion,
    metadata,
    geometry,
    parent,
    findings,
  };
}

const LOG_FINDINGS: Readonly<Record<string, string>> = {
  corrupt: 'corrupt-table',
  truncated: 'truncated',
  unsupported: 'unknown-feature',
  unsafe: 'size-bomb-table',
};

async function replayOrFind(
  file: ByteSource,
  header: VhdxHeader,
  findings: Finding[],
): Promise<{ readonly source: ByteSource; readonly entries: number }> {
  try {
    return await replayLog(file, header);
  } catch (error) {
    const code = error instanceof ImageError ? LOG_FINDINGS[error.code] : undefined;
    if (!(error instanceof ImageError) || code === undefined) throw error;
    findings.push({ code, severity: 'unsafe', offset: error.offset ?? header.at, message: error.message });
    return { source: file, entries: 0 };
  }
}

async function readParent(source: ByteSource, metadata: Metadata): Promise<ParentLocator> {
  if (metadata.parentLocator !== undefined) return readParentLocator(source, metadata.parentLocator);
  throw vhdxError('corrupt', 'The disk has a parent, but no parent locator', 'metadata table');
}

function headerFindings(fileSize: number, { current, usable }: Headers): readonly Finding[] {
  const findings: Finding[] = [];
  if (usable < 2) {
    const message = 'One of the two headers is damaged; the other was used';
    findings.push({ code: 'checksum-mismatch', severity: 'warning', offset: current.at, message });
  }
  if (current.hasLog) {
    const message = 'The log holds changes that were not applied: the image was not closed cleanly';
    findings.push({ code: 'dirty', severity: 'warning', offset: current.at + 48, message });
    const { logOffset: offset, logLength: length } = current;
    findings.push(...tableFindings(fileSize, { structure: 'log', offset, length, maxLength: MAX_LOG_BYTES }));
  }
  return findings;
}

function regionFindings(fileSize: number, table: RegionTable, header: VhdxHeader): readonly Finding[] {
  const findings: Finding[] = [];
  const { regions, usable } = table;
  const unsafe = (code: string, offset: number, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset, message });
  };
  if (usable < 2) {
    const message = 'One of the two region tables is damaged; the other was used';
    findings.push({ code: 'checksum-mismatch', severity: 'warning', offset: REGION_TABLE_OFFSETS[0], message });
  }
  const seen = new Set<string>();
  for (const { guid, required, fileOffset, length } of regions) {
    if (required && !KNOWN_REGIONS.has(guid)) {
      unsafe('unknown-feature', fileOffset, `The region ${guid} must be understood, and is not known`);
    }
    if (seen.has(guid)) unsafe('corrupt-table', fileOffset, `The region ${guid} is there twice`);
    seen.add(guid);
    if (fileOffset % MIB !== 0 || length % MIB !== 0 || fileOffset < MIB) {
      const message = `The region ${guid} of ${length} bytes at byte ${fileOffset} does not lie on whole MiB after the header`;
      unsafe('corrupt-table', fileOffset, message);
    }
    const place = { structure: `region ${guid}`, offset: fileOffset, length, maxLength: MAX_REGION_BYTES };
    findings.push(...tableFindings(fileSize, place));
  }
  return [...findings, ...overlapFindings(regions, header)];
}

/** Regions and the log lie apart from each other. [MS-VHDX] 2.2.3.2. */
function overlapFindings(regions: readonly Region[], header: VhdxHeader): readonly Finding[] {
  const log = { fileOffset: header.logOffset, length: header.logLength };
  const sorted = [...regions, log].filter(({ length }) => length > 0).sort((a, b) => a.fileOffset - b.fileOffset);
  return sorted.flatMap(({ fileOffset }, i): Finding[] => {
    const before = sorted[i - 1];
    if (before === undefined || before.fileOffset + before.length <= fileOffset) return [];
    const message = `Two regions, or a region and the log, lie over each other at byte ${fileOffset}`;
    return [{ code: 'overlapping-tables', severity: 'unsafe', offset: fileOffset, message }];
  });
}

function metadataFindings(metadata: Metadata): readonly Finding[] {
  const findings: Finding[] = metadata.unknownRequiredItems.map((guid) => ({
    code: 'unknown-feature',
    severity: 'unsafe',
    message: `The metadata item ${guid} must be understood, and is not known`,
  }));
  if (hasSaneSizes(metadata)) return findings;
  const { blockSize, logicalSectorSize, physicalSectorSize, diskSize } = metadata;
  const message =
    `A disk of ${diskSize} bytes in blocks of ${blockSize} bytes with sectors of ${logicalSectorSize} ` +
    `(physical ${physicalSectorSize}) bytes is not possible`;
  return [...findings, { code: 'header-inconsistent', severity: 'unsafe', message }];
}

function hasSaneSizes({ blockSize, logicalSectorSize, physicalSectorSize, diskSize }: Metadata): boolean {
  return (
    isPowerOfTwo(blockSize) &&
    blockSize >= MIN_BLOCK_SIZE &&
    blockSize <= MAX_BLOCK_SIZE &&
    SECTOR_SIZES.has(logicalSectorSize) &&
    SECTOR_SIZES.has(physicalSectorSize) &&
    diskSize <= MAX_DISK_SIZE &&
    diskSize % logicalSectorSize === 0
  );
}

function parentFindings(parent: ParentLocator): readonly Finding[] {
  const path = parentPath(parent);
  const message = `The disk holds only the differences from its parent ${shownText(path ?? '')}`;
  const findings: Finding[] = [{ code: 'differencing-parent', severity: 'unsafe', message }];
  const unsafe = (code: string, fault: string): void => {
    findings.push({ code, severity: 'unsafe', message: `The parent locator ${fault}` });
  };
  if (!parent.isVhdx) unsafe('unknown-feature', `is of the kind ${parent.kind}, which is not known`);
  else if (path === undefined) unsafe('corrupt-table', 'has no path of the parent');
  else if (parentLinkage(parent).length === 0) unsafe('corrupt-table', 'has no identifier to know the parent by');
  return findings;
}
