import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { asciiField } from '../../bytes/numbers.ts';
import { imageInfo, shownText, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { BochsHeader } from './header.ts';
import { MAGIC, MAGIC_FIELD_BYTES, readHeader, UNALLOCATED } from './header.ts';
import { openBochs } from './open.ts';

/** Redolog images of the Bochs emulator: growing ones are read, undoable and volatile ones are refused. */
export const bochs: Format = {
  name: 'bochs',
  aliases: [],
  probe: ({ head }) => asciiField(head.subarray(0, MAGIC_FIELD_BYTES)) === MAGIC,
  examine,
  async open(source) {
    const { info, findings } = await examine(source);
    refuseUnsafe('bochs', findings);
    return openBochs(source, await readHeader(source), info);
  },
};

/** 1 Mi catalog entries are 4 MiB; Bochs itself writes a few thousand. */
const MAX_CATALOG_BYTES = 4 * 2 ** 20;
/** 32 KiB of bitmap for 128 MiB of extent, far above what Bochs writes. */
const MAX_BITMAP_SIZE = 32 * 1024;
const MAX_EXTENT_SIZE = 128 * 2 ** 20;
const DIFFERENCE_SUBTYPES: ReadonlySet<string> = new Set(['Undoable', 'Volatile']);

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const info = imageInfo('bochs', header.diskSize, {
    subformat: header.subtype,
    unitSize: header.extentSize,
    details: { type: header.type, version: header.version, catalogEntries: header.catalogEntries },
  });
  return { info, findings: [...headerFindings(source.size, header), ...(await catalogFindings(source, header))] };
}

function headerFindings(fileSize: number, header: BochsHeader): readonly Finding[] {
  const findings: Finding[] = [
    ...tableFindings(fileSize, {
      structure: 'catalog',
      offset: header.headerSize,
      length: header.catalogEntries * 4,
      maxLength: MAX_CATALOG_BYTES,
    }),
  ];
  const add = (code: string, offset: number, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset, message });
  };
  if (header.type !== 'Redolog')
    add('unsupported-subformat', 32, `The type ${shownText(header.type)} is not "Redolog"`);
  if (DIFFERENCE_SUBTYPES.has(header.subtype)) {
    add(
      'differencing-parent',
      48,
      `A disk of the subtype ${header.subtype} holds only the differences from another disk`,
    );
  } else if (header.subtype !== 'Growing') {
    add('unsupported-subformat', 48, `The subtype ${shownText(header.subtype)} is not known`);
  }
  if (!hasSaneExtents(header)) {
    add(
      'header-inconsistent',
      76,
      `Extents of ${header.extentSize} bytes with bitmaps of ${header.bitmapSize} bytes are not possible`,
    );
  } else if (header.catalogEntries * header.extentSize < header.diskSize) {
    add(
      'header-inconsistent',
      72,
      `${header.catalogEntries} extents do not cover the disk of ${header.diskSize} bytes`,
    );
  }
  return findings;
}

function hasSaneExtents({ extentSize, bitmapSize }: BochsHeader): boolean {
  return (
    extentSize >= 512 &&
    extentSize % 512 === 0 &&
    extentSize <= MAX_EXTENT_SIZE &&
    bitmapSize > 0 &&
    bitmapSize <= MAX_BITMAP_SIZE &&
    bitmapSize * 8 * 512 >= extentSize
  );
}

async function catalogFindings(source: ByteSource, header: BochsHeader): Promise<readonly Finding[]> {
  const length = header.catalogEntries * 4;
  if (!hasSaneExtents(header) || length > MAX_CATALOG_BYTES || header.headerSize + length > source.size) return [];
  const bytes = await readBytes(source, header.headerSize, length);
  const view = new DataView(bytes.buffer);
  let last = -1;
  for (let at = 0; at < length; at += 4) {
    const entry = view.getUint32(at, true);
    if (entry !== UNALLOCATED && entry > last) last = entry;
  }
  const bitmapBytes = Math.ceil(header.bitmapSize / 512) * 512;
  return truncationFindings(source.size, header.headerSize + length + (last + 1) * (bitmapBytes + header.extentSize));
}
