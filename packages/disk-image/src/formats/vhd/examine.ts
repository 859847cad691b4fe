import type { ByteSource } from '../../bytes/byte-source.ts';
import { safeU64 } from '../../bytes/numbers.ts';
import type { ImageInfo } from '../../image/disk-image.ts';
import { imageInfo, shownText, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination } from '../../image/format.ts';
import type { ImageReference } from '../../image/reference.ts';
import { readBlockAllocationTable, storedBlockSize, surveyTable } from './block-allocation-table.ts';
import type { DynamicHeader } from './dynamic-header.ts';
import { readDynamicHeader } from './dynamic-header.ts';
import type { Footer, FooterPlaces } from './footer.ts';
import { readFooters } from './footer.ts';
import { MAX_BAT_BYTES, MAX_BLOCK_SIZE, MAX_DISK_SIZE, MAX_PARENT_LOCATOR_BYTES, SECTOR_SIZE } from './limits.ts';
import type { ParentPath } from './parent-locator.ts';
import { readParentPaths } from './parent-locator.ts';

/** What a file is made of: the footer that counts, and the header of a dynamic or differencing disk. */
export interface Anatomy {
  readonly footer: Footer;
  readonly footers: FooterPlaces;
  readonly header: DynamicHeader | undefined;
  /** Of a differencing disk: where its parent is said to lie, best first. */
  readonly parentPaths: readonly ParentPath[];
}

/** Footers and header. Throws `wrong_format` without a footer, `truncated` or `corrupt` when the header is not there. */
export async function readAnatomy(source: ByteSource): Promise<Anatomy> {
  const footers = await readFooters(source);
  const { end, copy } = footers;
  const either = end ?? copy;
  if (either === undefined) throw new Error('assertion failed: a footer was found');
  const footer = !either.checksumValid && copy?.checksumValid === true ? copy : either;
  if (footer.diskType === 'fixed' || footer.diskType === 'unknown') {
    return { footer, footers, header: undefined, parentPaths: [] };
  }
  const field = { format: 'vhd', structure: 'footer', field: 'data offset', offset: footer.at + 16 };
  const header = await readDynamicHeader(source, safeU64(footer.dataOffset, field));
  const parentPaths = footer.diskType === 'differencing' ? await readParentPaths(source, header) : [];
  return { footer, footers, header, parentPaths };
}

/** Footers, header and block allocation table, and what is wrong with them. Throws what `readAnatomy` throws. */
export async function examineVhd(source: ByteSource): Promise<Examination> {
  const anatomy = await readAnatomy(source);
  const findings = anatomyFindings(source.size, anatomy);
  return { info: vhdInfo(anatomy), findings: [...findings, ...(await tableEntryFindings(source, anatomy, findings))] };
}

/** What footer and header say, as plain data; nothing is judged here. */
export function vhdInfo({ footer, header, parentPaths }: Anatomy): ImageInfo {
  const { cylinders, heads, sectorsPerTrack } = footer.geometry;
  const backing = header === undefined || footer.diskType !== 'differencing' ? undefined : parent(header, parentPaths);
  return imageInfo('vhd', footer.diskSize, {
    subformat: footer.diskType,
    linkId: footer.uniqueId,
    dirty: footer.savedState,
    ...(header === undefined ? {} : { unitSize: header.blockSize }),
    ...(backing === undefined ? {} : { backing, references: [backing] }),
    details: {
      creator: `${footer.creatorApplication} ${footer.creatorOs}`.trim(),
      originalSize: footer.originalSize,
      currentSize: footer.currentSize,
      geometry: { cylinders, heads, sectorsPerTrack },
      uniqueId: footer.uniqueId,
      ...(header === undefined ? {} : { maxTableEntries: header.maxTableEntries }),
      ...(header === undefined || backing === undefined ? {} : parentDetails(header, parentPaths)),
    },
  });
}

/** The best locator names the parent; a disk without any has the name in its header alone. */
function parent(header: DynamicHeader, paths: readonly ParentPath[]): ImageReference {
  const name = paths[0]?.path ?? header.parentName.replaceAll('\\', '/');
  return { kind: 'parent', name, format: 'vhd', linkIds: [header.parentUniqueId] };
}

function parentDetails(header: DynamicHeader, paths: readonly ParentPath[]): ImageInfo['details'] {
  return {
    parentUniqueId: header.parentUniqueId,
    parentName: header.parentName,
    parentLocators: paths.map(({ platformCode, path }) => ({ platformCode, path })),
  };
}

/** Everything wrong with footers and header, entries of the table aside. */
export function anatomyFindings(fileSize: number, { footer, footers, header }: Anatomy): readonly Finding[] {
  const findings = [...footerFindings(footer, footers), ...sizeFindings(footer)];
  if (header !== undefined) return [...findings, ...headerFindings(fileSize, footer, header)];
  if (footer.diskType === 'unknown') return findings;
  return [...findings, ...truncationFindings(footers.end?.at ?? fileSize, footer.diskSize)];
}

function footerFindings(footer: Footer, { end, copy }: FooterPlaces): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, severity: Finding['severity'], message: string): void => {
    findings.push({ code, severity, offset: footer.at, message });
  };
  if (end === undefined)
    add('truncated', 'unsafe', 'The footer at the end of the file is missing; only its copy at the beginning is there');
  if (!footer.checksumValid) add('checksum-mismatch', 'unsafe', 'The checksum of the footer does not match its bytes');
  else if (end?.checksumValid === false || copy?.checksumValid === false) {
    add('checksum-mismatch', 'warning', 'One of the two footers does not match its checksum; the other was used');
  }
  if (end?.checksumValid === true && copy?.checksumValid === true && contradict(end, copy)) {
    add('header-inconsistent', 'unsafe', 'The footer and its copy at the beginning describe different disks');
  }
  if (footer.version >>> 16 !== 1)
    add('unsupported-subformat', 'unsafe', `The footer has version ${footer.version >>> 16}; version 1 is known`);
  if (footer.diskType === 'unknown') {
    const message = `Disk type ${footer.diskTypeNumber} is not fixed (2), dynamic (3) or differencing (4)`;
    add('unsupported-subformat', 'unsafe', message);
  }
  if (footer.savedState)
    add('dirty', 'warning', 'The disk belongs to a machine in saved state; its file systems may be in use');
  return findings;
}

/** Some programs go by the one, some by the other. */
function contradict(end: Footer, copy: Footer): boolean {
  return (
    end.currentSize !== copy.currentSize ||
    end.diskSize !== copy.diskSize ||
    end.diskType !== copy.diskType ||
    end.dataOffset !== copy.dataOffset
  );
}

function sizeFindings(footer: Footer): readonly Finding[] {
  const { currentSize, diskSize, at } = footer;
  const sizeAt = at + 48;
  if (diskSize > MAX_DISK_SIZE) {
    const message = `A disk of ${diskSize} bytes is larger than a VHD can be; ${MAX_DISK_SIZE} is the most`;
    return [{ code: 'header-inconsistent', severity: 'unsafe', offset: sizeAt, message }];
  }
  if (currentSize - diskSize < SECTOR_SIZE && currentSize >= diskSize) return [];
  const message = `The disk has ${diskSize} bytes by its geometry, which counts, and ${currentSize} by its current size`;
  return [{ code: 'size-mismatch', severity: 'warning', offset: sizeAt, message }];
}

function headerFindings(fileSize: number, footer: Footer, header: DynamicHeader): readonly Finding[] {
  const table = {
    structure: 'block allocation table',
    offset: header.tableOffset,
    length: header.maxTableEntries * 4,
    maxLength: MAX_BAT_BYTES,
  };
  const findings: Finding[] = [...tableFindings(fileSize, table)];
  const add = (code: string, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset: header.at, message });
  };
  if (!header.checksumValid)
    add('checksum-mismatch', 'The checksum of the dynamic disk header does not match its bytes');
  if (!hasUsableBlocks(header)) {
    const rule = `a multiple of ${SECTOR_SIZE} up to ${MAX_BLOCK_SIZE}`;
    add('header-inconsistent', `A block size of ${header.blockSize} bytes is not ${rule}`);
  } else if (header.maxTableEntries * header.blockSize < footer.diskSize) {
    const blocks = `${header.maxTableEntries} blocks of ${header.blockSize} bytes`;
    add('header-inconsistent', `${blocks} do not cover the disk of ${footer.diskSize} bytes`);
  }
  if (footer.diskType !== 'differencing') return findings;
  add('differencing-parent', `The disk holds only the differences from its parent ${shownText(header.parentName)}`);
  return [...findings, ...locatorFindings(fileSize, header)];
}

function hasUsableBlocks({ blockSize }: DynamicHeader): boolean {
  return blockSize >= SECTOR_SIZE && blockSize % SECTOR_SIZE === 0 && blockSize <= MAX_BLOCK_SIZE;
}

function locatorFindings(fileSize: number, header: DynamicHeader): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { platformCode, dataOffset, dataLength } of header.parentLocators) {
    const structure = `parent locator ${shownText(platformCode)}`;
    const place = { structure, offset: dataOffset, length: dataLength, maxLength: MAX_PARENT_LOCATOR_BYTES };
    findings.push(...tableFindings(fileSize, place));
  }
  return findings;
}

async function tableEntryFindings(
  source: ByteSource,
  { footer, header }: Anatomy,
  found: readonly Finding[],
): Promise<readonly Finding[]> {
  const unreadable = found.some(({ code }) => code === 'table-outside-file' || code === 'size-bomb-table');
  if (header === undefined || unreadable || !hasUsableBlocks(header)) return [];
  const table = await readBlockAllocationTable(source, header, footer.diskSize);
  const { allocated, end } = surveyTable(table, header);
  const truncated = truncationFindings(source.size, end);
  const needed = allocated * storedBlockSize(header.blockSize);
  if (truncated.length > 0 || needed <= source.size) return truncated;
  const message = `The ${allocated} stored blocks need ${needed} bytes, but the file has ${source.size}: blocks share their bytes`;
  return [{ code: 'corrupt-table', severity: 'unsafe', offset: header.tableOffset, message }];
}
