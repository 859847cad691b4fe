import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { safeU64 } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { ImageInfo } from '../../image/disk-image.ts';
import { imageInfo, shownText, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format } from '../../image/format.ts';
import type { DynamicHeader } from './dynamic-header.ts';
import { readDynamicHeader } from './dynamic-header.ts';
import type { Footer } from './footer.ts';
import { FOOTER_SIZE, hasCookie, OLD_FOOTER_SIZE, readFooters } from './footer.ts';

/** Virtual Hard Disk of Virtual PC, Hyper-V and Azure: fixed, dynamic and differencing. Recognised, not read. */
export const vhd: Format = {
  name: 'vhd',
  aliases: ['vpc'],
  probe: ({ head, tail }) =>
    hasCookie(head, 0) || hasCookie(tail, tail.length - FOOTER_SIZE) || hasCookie(tail, tail.length - OLD_FOOTER_SIZE),
  examine,
};

/** 2 TiB in blocks of 2 MiB need 4 MiB; smaller blocks are legal. */
export const MAX_BAT_BYTES: number = 64 * 2 ** 20;
/** A longer table is judged by its place alone, not entry by entry. */
const MAX_BAT_BYTES_WALKED = 8 * 2 ** 20;
const MAX_PARENT_LOCATOR_BYTES = 64 * 1024;
const MIN_BLOCK_SIZE = 512;
const UNALLOCATED = 0xffffffff;
const SECTOR = 512;

async function examine(source: ByteSource): Promise<Examination> {
  const { end, copy } = await readFooters(source);
  const footer = end ?? copy;
  if (footer === undefined) throw new Error('assertion failed: a footer was found');
  const chosen = !footer.checksumValid && copy?.checksumValid === true ? copy : footer;
  const findings = [...footerFindings(chosen, end, copy)];
  if (chosen.diskType === 'fixed') {
    findings.push(...truncationFindings(end === undefined ? source.size : end.at, chosen.currentSize));
    return { info: footerInfo(chosen, {}), findings };
  }
  if (chosen.diskType === 'unknown') return { info: footerInfo(chosen, {}), findings };
  const header = await readDynamicHeader(
    source,
    safeU64(chosen.dataOffset, { format: 'vhd', structure: 'footer', field: 'data offset', offset: chosen.at + 16 }),
  );
  findings.push(...headerFindings(source.size, chosen, header));
  findings.push(...(await batFindings(source, header)));
  return { info: dynamicInfo(chosen, header), findings };
}

function footerInfo(footer: Footer, more: Partial<ImageInfo>): ImageInfo {
  const { cylinders, heads, sectorsPerTrack } = footer.geometry;
  return imageInfo('vhd', footer.currentSize, {
    subformat: footer.diskType,
    dirty: footer.savedState,
    ...more,
    details: {
      creator: `${footer.creatorApplication} ${footer.creatorOs}`.trim(),
      originalSize: footer.originalSize,
      geometry: { cylinders, heads, sectorsPerTrack },
      uniqueId: footer.uniqueId,
      ...more.details,
    },
  });
}

function dynamicInfo(footer: Footer, header: DynamicHeader): ImageInfo {
  const details = { maxTableEntries: header.maxTableEntries };
  if (footer.diskType !== 'differencing') return footerInfo(footer, { unitSize: header.blockSize, details });
  const backing = { kind: 'parent', name: header.parentName, format: 'vhd' } as const;
  return footerInfo(footer, {
    unitSize: header.blockSize,
    backing,
    references: [backing],
    details: { ...details, parentUniqueId: header.parentUniqueId },
  });
}

function footerFindings(footer: Footer, end: Footer | undefined, copy: Footer | undefined): readonly Finding[] {
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
  if (end?.checksumValid === true && copy?.checksumValid === true && end.currentSize !== copy.currentSize) {
    add('header-inconsistent', 'unsafe', 'The footer and its copy at the beginning give different disk sizes');
  }
  if (footer.version >>> 16 !== 1)
    add('unsupported-subformat', 'unsafe', `The footer has version ${footer.version >>> 16}; version 1 is known`);
  if (footer.diskType === 'unknown') {
    add(
      'unsupported-subformat',
      'unsafe',
      `Disk type ${footer.diskTypeNumber} is not fixed (2), dynamic (3) or differencing (4)`,
    );
  }
  if (footer.savedState)
    add('dirty', 'warning', 'The disk belongs to a machine in saved state; its file systems may be in use');
  return findings;
}

function headerFindings(fileSize: number, footer: Footer, header: DynamicHeader): readonly Finding[] {
  const findings: Finding[] = [
    ...tableFindings(fileSize, {
      structure: 'block allocation table',
      offset: header.tableOffset,
      length: header.maxTableEntries * 4,
      maxLength: MAX_BAT_BYTES,
    }),
  ];
  const add = (code: string, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset: header.at, message });
  };
  if (!header.checksumValid)
    add('checksum-mismatch', 'The checksum of the dynamic disk header does not match its bytes');
  if (header.blockSize < MIN_BLOCK_SIZE || header.blockSize % SECTOR !== 0) {
    add('header-inconsistent', `A block size of ${header.blockSize} bytes is not a multiple of ${SECTOR}`);
  } else if (header.maxTableEntries * header.blockSize < footer.currentSize) {
    add(
      'header-inconsistent',
      `${header.maxTableEntries} blocks of ${header.blockSize} bytes do not cover the disk of ${footer.currentSize} bytes`,
    );
  }
  if (footer.diskType === 'differencing') {
    add('differencing-parent', `The disk holds only the differences from its parent ${shownText(header.parentName)}`);
    for (const locator of header.parentLocators) {
      findings.push(
        ...tableFindings(fileSize, {
          structure: `parent locator ${shownText(locator.platformCode)}`,
          offset: locator.dataOffset,
          length: locator.dataLength,
          maxLength: MAX_PARENT_LOCATOR_BYTES,
        }),
      );
    }
  }
  return findings;
}

async function batFindings(source: ByteSource, header: DynamicHeader): Promise<readonly Finding[]> {
  const length = header.maxTableEntries * 4;
  if (length > MAX_BAT_BYTES_WALKED || header.tableOffset + length > source.size) return [];
  if (header.blockSize > MAX_BLOCK_SIZE) {
    throw new ImageError('corrupt', `A block of ${header.blockSize} bytes is larger than ${MAX_BLOCK_SIZE}`, {
      format: 'vhd',
      structure: 'dynamic disk header',
      offset: header.at,
    });
  }
  const bytes = await readBytes(source, header.tableOffset, length);
  const view = new DataView(bytes.buffer);
  let last = -1;
  for (let at = 0; at < length; at += 4) {
    const entry = view.getUint32(at);
    if (entry !== UNALLOCATED && entry > last) last = entry;
  }
  if (last < 0) return [];
  const bitmapSize = Math.ceil(header.blockSize / SECTOR / 8 / SECTOR) * SECTOR;
  return truncationFindings(source.size, last * SECTOR + bitmapSize + header.blockSize);
}

const MAX_BLOCK_SIZE = 256 * 2 ** 20;
