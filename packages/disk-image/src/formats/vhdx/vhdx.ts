import type { ByteSource } from '../../bytes/byte-source.ts';
import { isPowerOfTwo } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { ImageInfo } from '../../image/disk-image.ts';
import { imageInfo, shownText, tableFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format } from '../../image/format.ts';
import { batFindings } from './block-allocation-table.ts';
import type { Headers } from './header.ts';
import { FILE_SIGNATURE, readHeaders } from './header.ts';
import type { Metadata } from './metadata-table.ts';
import { readMetadata } from './metadata-table.ts';
import { readParentLocator } from './parent-locator.ts';
import type { Region } from './region-table.ts';
import { BAT_REGION, METADATA_REGION, readRegionTable } from './region-table.ts';

/** Hyper-V's virtual hard disk version 2. Recognised, not read. */
export const vhdx: Format = {
  name: 'vhdx',
  aliases: [],
  probe: ({ head }) => head.length >= FILE_SIGNATURE.length && FILE_SIGNATURE.every((byte, i) => head[i] === byte),
  examine,
};

/** 64 TiB, the specification's largest disk, in the smallest blocks with bitmaps: somewhat above 512 MiB. */
const MAX_REGION_BYTES = 1024 * 2 ** 20;
const MAX_LOG_BYTES = 1024 * 2 ** 20;
const MIB = 2 ** 20;
const MAX_BLOCK_SIZE = 256 * MIB;
const KNOWN_REGIONS: ReadonlySet<string> = new Set([BAT_REGION, METADATA_REGION]);
const SECTOR_SIZES: ReadonlySet<number> = new Set([512, 4096]);

async function examine(source: ByteSource): Promise<Examination> {
  const headers = await readHeaders(source);
  const regions = await readRegionTable(source);
  const metadata = await readMetadata(source, knownRegion(regions, METADATA_REGION));
  const parent = metadata.hasParent ? await parentName(source, metadata) : undefined;
  const findings = [
    ...headerFindings(source.size, headers),
    ...regionFindings(source.size, regions),
    ...metadataFindings(metadata),
  ];
  if (parent !== undefined) {
    const message = `The disk holds only the differences from its parent ${shownText(parent)}`;
    findings.push({ code: 'differencing-parent', severity: 'unsafe', message });
  }
  if (hasSaneSizes(metadata)) findings.push(...(await batFindings(source, knownRegion(regions, BAT_REGION), metadata)));
  return { info: infoOf(headers, metadata, parent), findings };
}

function knownRegion(regions: readonly Region[], guid: string): Region {
  const region = regions.find((candidate) => candidate.guid === guid);
  if (region !== undefined) return region;
  throw new ImageError('corrupt', `The region ${guid} is missing`, { format: 'vhdx', structure: 'region table' });
}

async function parentName(source: ByteSource, metadata: Metadata): Promise<string> {
  if (metadata.parentLocator === undefined) {
    throw new ImageError('corrupt', 'The disk has a parent, but no parent locator', {
      format: 'vhdx',
      structure: 'metadata table',
    });
  }
  const locator = await readParentLocator(source, metadata.parentLocator);
  return locator.get('relative_path') ?? locator.get('absolute_win32_path') ?? locator.get('volume_path') ?? '';
}

function infoOf(headers: Headers, metadata: Metadata, parent: string | undefined): ImageInfo {
  const backing = { kind: 'parent', name: parent ?? '', format: 'vhdx' } as const;
  return imageInfo('vhdx', metadata.diskSize, {
    subformat: metadata.hasParent ? 'differencing' : metadata.leaveBlocksAllocated ? 'fixed' : 'dynamic',
    unitSize: metadata.blockSize,
    dirty: headers.current.hasLog,
    ...(parent === undefined ? {} : { backing, references: [backing] }),
    details: {
      creator: headers.creator,
      blockSize: metadata.blockSize,
      logicalSectorSize: metadata.logicalSectorSize,
      physicalSectorSize: metadata.physicalSectorSize,
      diskId: metadata.diskId,
    },
  });
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
    findings.push(
      ...tableFindings(fileSize, {
        structure: 'log',
        offset: current.logOffset,
        length: current.logLength,
        maxLength: MAX_LOG_BYTES,
      }),
    );
  }
  return findings;
}

function regionFindings(fileSize: number, regions: readonly Region[]): readonly Finding[] {
  return regions.flatMap((region) => {
    const findings: Finding[] = [];
    if (region.required && !KNOWN_REGIONS.has(region.guid)) {
      const message = `The region ${region.guid} must be understood, and is not known`;
      findings.push({ code: 'unknown-feature', severity: 'unsafe', offset: region.fileOffset, message });
    }
    const structure = `region ${region.guid}`;
    const table = { structure, offset: region.fileOffset, length: region.length, maxLength: MAX_REGION_BYTES };
    return [...findings, ...tableFindings(fileSize, table)];
  });
}

function metadataFindings(metadata: Metadata): readonly Finding[] {
  const findings: Finding[] = metadata.unknownRequiredItems.map((guid) => ({
    code: 'unknown-feature',
    severity: 'unsafe',
    message: `The metadata item ${guid} must be understood, and is not known`,
  }));
  if (!hasSaneSizes(metadata)) {
    const message = `Blocks of ${metadata.blockSize} bytes and sectors of ${metadata.logicalSectorSize} bytes are not possible`;
    findings.push({ code: 'header-inconsistent', severity: 'unsafe', message });
  }
  return findings;
}

function hasSaneSizes({ blockSize, logicalSectorSize }: Metadata): boolean {
  return (
    isPowerOfTwo(blockSize) && blockSize >= MIB && blockSize <= MAX_BLOCK_SIZE && SECTOR_SIZES.has(logicalSectorSize)
  );
}
