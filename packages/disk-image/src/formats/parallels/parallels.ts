import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { asciiField } from '../../bytes/numbers.ts';
import { imageInfo, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format, ProbeInput } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import { checkBlocks } from './check.ts';
import type { ParallelsHeader } from './header.ts';
import { extensionFindings } from './format-extension.ts';
import { HEADER_BYTES, NEW_MAGIC, OLD_MAGIC, readHeader, SECTOR, sectorsPerEntry } from './header.ts';
import { openParallels } from './open.ts';

/** Expandable images of Parallels and Virtuozzo (ploop). Read, not written. */
export const parallels: Format = {
  name: 'parallels',
  aliases: ['ploop', 'hds'],
  probe,
  examine,
  async open(source) {
    const { info, findings } = await examine(source);
    refuseUnsafe('parallels', findings);
    return openParallels(source, await readHeader(source), info);
  },
  async check(source) {
    const { findings } = await examine(source);
    refuseUnsafe(
      'parallels',
      findings.filter(({ code }) => code !== 'truncated'),
    );
    return checkBlocks(source, await readHeader(source));
  },
};

const KNOWN_VERSION = 2;
/** 16 Mi blocks: 16 TiB in the usual blocks of 1 MiB. */
export const MAX_BAT_BYTES: number = 64 * 2 ** 20;
const MAX_BAT_BYTES_WALKED = 8 * 2 ** 20;
/** 256 MiB in one block. */
const MAX_BLOCK_SECTORS = 512 * 1024;
/** 2^53 bytes and more can not be addressed. */
const MAX_DISK_SECTORS = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR);

function probe({ head }: ProbeInput): boolean {
  const magic = asciiField(head.subarray(0, 16));
  return magic === OLD_MAGIC || magic === NEW_MAGIC;
}

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const info = imageInfo('parallels', Math.min(header.diskSectors, MAX_DISK_SECTORS) * SECTOR, {
    subformat: 'expandable',
    unitSize: header.blockSectors * SECTOR,
    dirty: header.inUse,
    details: {
      magic: header.magic,
      version: header.version,
      batEntries: header.batEntries,
      empty: header.isEmpty,
      formatExtension: header.extensionSector !== 0,
    },
  });
  const extension = hasSaneBlocks(header) ? await extensionFindings(source, header) : [];
  const findings = [...headerFindings(source.size, header), ...(await batFindings(source, header)), ...extension];
  return { info, findings };
}

function headerFindings(fileSize: number, header: ParallelsHeader): readonly Finding[] {
  const findings: Finding[] = [
    ...tableFindings(fileSize, {
      structure: 'block allocation table',
      offset: HEADER_BYTES,
      length: header.batEntries * 4,
      maxLength: MAX_BAT_BYTES,
    }),
  ];
  const add = (code: string, offset: number, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset, message });
  };
  if (header.version !== KNOWN_VERSION)
    add('unsupported-subformat', 16, `Version ${header.version} is not known; version 2 is`);
  if (!hasSaneBlocks(header)) {
    add(
      'header-inconsistent',
      28,
      `A block of ${header.blockSectors} sectors is not possible; the most is ${MAX_BLOCK_SECTORS}`,
    );
  } else if (header.batEntries * header.blockSectors < header.diskSectors) {
    add(
      'header-inconsistent',
      32,
      `${header.batEntries} blocks of ${header.blockSectors} sectors do not cover the disk of ${header.diskSectors}`,
    );
  }
  if (header.diskSectors > MAX_DISK_SECTORS)
    add('header-inconsistent', 36, `A disk of ${header.diskSectors} sectors is not possible`);
  if (header.inUse) {
    findings.push({
      code: 'dirty',
      severity: 'warning',
      offset: 44,
      message: 'The image was not closed cleanly, or is in use',
    });
  }
  if (header.extensionSector !== 0) {
    findings.push(
      ...tableFindings(fileSize, {
        structure: 'format extension',
        offset: header.extensionSector * SECTOR,
        length: header.blockSectors * SECTOR,
        maxLength: MAX_BLOCK_SECTORS * SECTOR,
      }),
    );
  }
  return findings;
}

function hasSaneBlocks(header: ParallelsHeader): boolean {
  return header.blockSectors > 0 && header.blockSectors <= MAX_BLOCK_SECTORS;
}

async function batFindings(source: ByteSource, header: ParallelsHeader): Promise<readonly Finding[]> {
  const length = header.batEntries * 4;
  if (!hasSaneBlocks(header) || length > MAX_BAT_BYTES_WALKED || HEADER_BYTES + length > source.size) return [];
  const bytes = await readBytes(source, HEADER_BYTES, length);
  const view = new DataView(bytes.buffer);
  let last = 0;
  for (let at = 0; at < length; at += 4) last = Math.max(last, view.getUint32(at, true));
  if (last === 0) return truncationFindings(source.size, header.dataSector * SECTOR);
  return truncationFindings(source.size, (last * sectorsPerEntry(header) + header.blockSectors) * SECTOR);
}
