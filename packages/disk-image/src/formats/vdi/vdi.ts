import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import { imageInfo, shownText, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format, ProbeInput } from '../../image/format.ts';
import type { VdiHeader } from './header.ts';
import { readHeader, SIGNATURE, SIGNATURE_AT } from './header.ts';

/** VirtualBox disk images: dynamic, static, undo and differencing. Recognised, not read. */
export const vdi: Format = { name: 'vdi', aliases: [], probe, examine };

/** 4 Mi blocks: 4 TiB in the usual blocks of 1 MiB. */
export const MAX_BLOCK_MAP_BYTES: number = 16 * 2 ** 20;
const MAX_BLOCK_MAP_BYTES_WALKED = 8 * 2 ** 20;
const MAX_BLOCK_SIZE = 256 * 2 ** 20;
/** From here on an entry means "not allocated" (-1) or "all zeros" (-2). */
const FIRST_SPECIAL_ENTRY = 0xfffffffe;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';

function probe({ head }: ProbeInput): boolean {
  if (head.length < SIGNATURE_AT + 4) return false;
  return fieldReader(head, 'little', { format: 'vdi', structure: 'header' }).u32(SIGNATURE_AT) === SIGNATURE;
}

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const isDifferencing = header.imageType === 'undo' || header.imageType === 'differencing';
  const parent = { kind: 'parent', name: header.parentUuid, format: 'vdi' } as const;
  const info = imageInfo('vdi', header.diskSize, {
    subformat: header.imageType,
    unitSize: header.blockSize,
    ...(isDifferencing ? { backing: parent, references: [parent] } : {}),
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
  return { info, findings: [...headerFindings(source.size, header), ...(await blockMapFindings(source, header))] };
}

function headerFindings(fileSize: number, header: VdiHeader): readonly Finding[] {
  const findings: Finding[] = [
    ...tableFindings(fileSize, {
      structure: 'block map',
      offset: header.blockMapOffset,
      length: header.blockCount * 4,
      maxLength: MAX_BLOCK_MAP_BYTES,
    }),
  ];
  const add = (code: string, offset: number, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset, message });
  };
  if (header.imageType === 'unknown') {
    add(
      'unsupported-subformat',
      76,
      `Image type ${header.imageTypeNumber} is not dynamic (1), static (2), undo (3) or differencing (4)`,
    );
  }
  if (header.imageType === 'undo' || header.imageType === 'differencing') {
    add(
      'differencing-parent',
      424,
      `The disk holds only the differences from its parent ${shownText(header.parentUuid)}`,
    );
  }
  if (header.sectorSize !== 512)
    add('header-inconsistent', 360, `A sector size of ${header.sectorSize} bytes is not 512`);
  if (header.blockSize === 0 || header.blockSize % 512 !== 0 || header.blockSize > MAX_BLOCK_SIZE) {
    add(
      'header-inconsistent',
      376,
      `A block size of ${header.blockSize} bytes is not a multiple of 512 up to ${MAX_BLOCK_SIZE}`,
    );
  } else if (header.blockCount * header.blockSize < header.diskSize) {
    add(
      'header-inconsistent',
      384,
      `${header.blockCount} blocks of ${header.blockSize} bytes do not cover the disk of ${header.diskSize} bytes`,
    );
  }
  if (header.allocatedBlockCount > header.blockCount) {
    add(
      'header-inconsistent',
      388,
      `${header.allocatedBlockCount} allocated blocks are more than the ${header.blockCount} of the disk`,
    );
  }
  return findings;
}

async function blockMapFindings(source: ByteSource, header: VdiHeader): Promise<readonly Finding[]> {
  const length = header.blockCount * 4;
  if (length > MAX_BLOCK_MAP_BYTES_WALKED || header.blockMapOffset + length > source.size) return [];
  const bytes = await readBytes(source, header.blockMapOffset, length);
  const view = new DataView(bytes.buffer);
  let last = -1;
  for (let at = 0; at < length; at += 4) {
    const entry = view.getUint32(at, true);
    if (entry < FIRST_SPECIAL_ENTRY && entry > last) last = entry;
  }
  return truncationFindings(source.size, header.dataOffset + (last + 1) * (header.blockSize + header.blockExtraSize));
}
