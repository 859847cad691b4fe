import type { ByteSource } from '../../bytes/byte-source.ts';
import { alignUp } from '../../bytes/numbers.ts';
import type { ImageInfo } from '../../image/disk-image.ts';
import { imageInfo, shownText, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination } from '../../image/format.ts';
import { readBlockMap, storedBlockSize, surveyBlockMap } from './block-map.ts';
import type { VdiHeader } from './header.ts';
import { NIL_UUID, readHeader } from './header.ts';
import { MAX_BLOCK_MAP_BYTES, MAX_BLOCK_SIZE, SECTOR_SIZE } from './limits.ts';

/** The header, the block map, and what is wrong with either. Throws what `readHeader` throws. */
export async function examineVdi(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const findings = headerFindings(source.size, header);
  return { info: vdiInfo(header), findings: [...findings, ...(await blockMapFindings(source, header, findings))] };
}

/** What the header says, as plain data. A disk of an odd size ends with zeros up to a sector. */
export function vdiInfo(header: VdiHeader): ImageInfo {
  const parent = { kind: 'parent', name: header.parentUuid, format: 'vdi' } as const;
  return imageInfo('vdi', alignUp(header.diskSize, SECTOR_SIZE), {
    subformat: header.imageType,
    unitSize: header.blockSize,
    ...(isDifferencing(header) ? { backing: parent, references: [parent] } : {}),
    details: {
      version: header.version,
      creator: header.text,
      description: header.description,
      blockCount: header.blockCount,
      allocatedBlockCount: header.allocatedBlockCount,
      uuid: header.imageUuid,
      ...(header.parentUuid === NIL_UUID ? {} : { parentUuid: header.parentUuid }),
    },
  });
}

function isDifferencing(header: VdiHeader): boolean {
  return header.imageType === 'undo' || header.imageType === 'differencing' || header.parentUuid !== NIL_UUID;
}

/** Everything wrong with the header alone. */
export function headerFindings(fileSize: number, header: VdiHeader): readonly Finding[] {
  const blockMap = {
    structure: 'block map',
    offset: header.blockMapOffset,
    length: header.blockCount * 4,
    maxLength: MAX_BLOCK_MAP_BYTES,
  };
  return [...tableFindings(fileSize, blockMap), ...typeFindings(header), ...sizeFindings(header)];
}

function unsafe(code: string, offset: number, message: string): Finding {
  return { code, severity: 'unsafe', offset, message };
}

function typeFindings(header: VdiHeader): readonly Finding[] {
  if (header.imageType === 'unknown') {
    const message = `Image type ${header.imageTypeNumber} is not dynamic (1), static (2), undo (3) or differencing (4)`;
    return [unsafe('unsupported-subformat', 76, message)];
  }
  if (!isDifferencing(header)) return [];
  const kind = header.imageType === 'undo' ? 'an undo image' : 'a differencing image';
  const message = `The file is ${kind}: it holds only the differences from its parent ${shownText(header.parentUuid)}`;
  return [unsafe('differencing-parent', 424, message)];
}

function sizeFindings(header: VdiHeader): readonly Finding[] {
  const { blockSize, blockCount, diskSize } = header;
  const findings: Finding[] = [];
  const add = (offset: number, message: string): void => {
    findings.push(unsafe('header-inconsistent', offset, message));
  };
  if (header.sectorSize !== SECTOR_SIZE) add(360, `A sector size of ${header.sectorSize} bytes is not ${SECTOR_SIZE}`);
  if (!hasUsableBlocks(header)) {
    add(376, `A block size of ${blockSize} bytes is not a multiple of ${SECTOR_SIZE} up to ${MAX_BLOCK_SIZE}`);
  } else if (blockCount * blockSize < diskSize) {
    add(384, `${blockCount} blocks of ${blockSize} bytes do not cover the disk of ${diskSize} bytes`);
  }
  if (header.allocatedBlockCount > blockCount) {
    add(388, `${header.allocatedBlockCount} allocated blocks are more than the ${blockCount} of the disk`);
  }
  if (header.blockExtraSize > MAX_BLOCK_SIZE) {
    add(380, `${header.blockExtraSize} bytes before each block are more than the ${MAX_BLOCK_SIZE} that are accepted`);
  }
  return findings;
}

function hasUsableBlocks({ blockSize }: VdiHeader): boolean {
  return blockSize > 0 && blockSize % SECTOR_SIZE === 0 && blockSize <= MAX_BLOCK_SIZE;
}

async function blockMapFindings(
  source: ByteSource,
  header: VdiHeader,
  found: readonly Finding[],
): Promise<readonly Finding[]> {
  const unreadable = found.some(({ code }) => code === 'table-outside-file' || code === 'size-bomb-table');
  if (unreadable || !hasUsableBlocks(header)) return [];
  const { allocated, last } = surveyBlockMap(await readBlockMap(source, header));
  const size = storedBlockSize(header);
  const truncated = truncationFindings(source.size, header.dataOffset + (last + 1) * size);
  if (truncated.length > 0 || allocated <= last + 1) return truncated;
  const message = `The block map has ${allocated} stored blocks, but they lie in ${last + 1} places: blocks share their bytes`;
  return [unsafe('corrupt-table', header.blockMapOffset, message)];
}
