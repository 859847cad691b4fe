/** VHD structures made by hand, as no program here writes them. */
import { ascii } from '../src/bytes/numbers.ts';
import { withVhdChecksum } from './inspect-disks.ts';
import { joined } from './goldens.ts';

/** The fields of a footer that tests choose. */
export interface FooterFields {
  readonly creator?: string;
  readonly currentSize: number;
  /** Cylinders, heads, sectors; the largest when absent. */
  readonly geometry?: readonly [number, number, number];
  /** 2 fixed, 3 dynamic, 4 differencing. */
  readonly diskType: number;
  readonly uniqueId?: Uint8Array;
}

/** A footer with its checksum; the dynamic disk header is at byte 512. */
export function footerBytes(fields: FooterFields): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  const [cylinders, heads, sectors] = fields.geometry ?? [65535, 16, 255];
  bytes.set(ascii('conectix'));
  view.setUint32(8, 2);
  view.setUint32(12, 0x10000);
  view.setBigUint64(16, fields.diskType === 2 ? 2n ** 64n - 1n : 512n);
  bytes.set(ascii(fields.creator ?? 'win '), 28);
  bytes.set(ascii('Wi2k'), 36);
  view.setBigUint64(40, BigInt(fields.currentSize));
  view.setBigUint64(48, BigInt(fields.currentSize));
  view.setUint16(56, cylinders);
  view.setUint8(58, heads);
  view.setUint8(59, sectors);
  view.setUint32(60, fields.diskType);
  bytes.set(fields.uniqueId ?? new Uint8Array(16), 68);
  return withVhdChecksum(bytes, 64);
}

/** Where the parent of a differencing disk is said to lie. */
export interface Locator {
  readonly code: string;
  readonly data: Uint8Array;
}

/** The fields of a dynamic disk header that tests choose. */
export interface HeaderFields {
  readonly entries: number;
  readonly blockSize?: number;
  readonly tableOffset?: number;
  readonly parentId?: Uint8Array;
  readonly parentName?: string;
  readonly locators?: readonly (Locator & { readonly offset: number })[];
}

/** A dynamic disk header with its checksum; the table is at byte 1536. */
export function headerBytes(fields: HeaderFields): Uint8Array {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii('cxsparse'));
  view.setBigUint64(8, 2n ** 64n - 1n);
  view.setBigUint64(16, BigInt(fields.tableOffset ?? 1536));
  view.setUint32(24, 0x10000);
  view.setUint32(28, fields.entries);
  view.setUint32(32, fields.blockSize ?? 2 ** 21);
  bytes.set(fields.parentId ?? new Uint8Array(16), 40);
  bytes.set(Buffer.from(fields.parentName ?? '', 'utf16le').swap16(), 64);
  (fields.locators ?? []).forEach(({ code, data, offset }, i) => {
    const at = 576 + i * 24;
    bytes.set(ascii(code), at);
    view.setUint32(at + 4, 512);
    view.setUint32(at + 8, data.length);
    view.setBigUint64(at + 16, BigInt(offset));
  });
  return withVhdChecksum(bytes, 36);
}

/** A differencing disk. */
export interface ChildFields {
  readonly size: number;
  readonly blockSize: number;
  readonly uniqueId?: Uint8Array;
  readonly parentId: Uint8Array;
  readonly parentName?: string;
  readonly locators?: readonly Locator[];
  /** The sectors that the child itself holds, by number. */
  readonly sectors: ReadonlyMap<number, Uint8Array>;
  /** 3 for a dynamic disk whose bitmaps are not full. */
  readonly diskType?: 3 | 4;
}

/** Footer, header, table, locators, blocks, footer; blocks in descending order, to be no better than they must. */
export function childDisk(child: ChildFields): Uint8Array {
  const { blockSize, size } = child;
  const entries = Math.ceil(size / blockSize);
  const tableSize = Math.ceil((entries * 4) / 512) * 512;
  const locators = (child.locators ?? []).map(({ code, data }, i) => ({
    code,
    data,
    offset: 1536 + tableSize + i * 512,
  }));
  const locatorData = joined(...locators.map(({ data }) => joined(data, new Uint8Array(512 - data.length))));
  const table = new Uint8Array(tableSize).fill(0xff);
  const blocks: Uint8Array[] = [];
  const sectorsPerBlock = blockSize / 512;
  const bitmapSize = Math.ceil(sectorsPerBlock / 8 / 512) * 512;
  let next = 1536 + tableSize + locatorData.length;
  for (let block = entries - 1; block >= 0; block--) {
    const bytes = storedBlock(child, { first: block * sectorsPerBlock, sectorsPerBlock, bitmapSize });
    if (bytes === undefined) continue;
    new DataView(table.buffer).setUint32(block * 4, next / 512);
    blocks.push(bytes);
    next += bytes.length;
  }
  const { uniqueId = new Uint8Array(16).fill(9), diskType = 4, parentId, parentName = '' } = child;
  const footer = footerBytes({ currentSize: size, diskType, uniqueId });
  const header = headerBytes({ entries, blockSize, parentId, parentName, locators });
  return joined(footer, header, table, locatorData, ...blocks, footer);
}

/** A block with its bitmap; sectors that are not stored hold rubbish that nobody may see. */
function storedBlock(
  child: ChildFields,
  place: { readonly first: number; readonly sectorsPerBlock: number; readonly bitmapSize: number },
): Uint8Array | undefined {
  const { first, sectorsPerBlock, bitmapSize } = place;
  const bytes = new Uint8Array(bitmapSize + child.blockSize).fill(0xbd, bitmapSize);
  let stored = 0;
  for (let sector = 0; sector < sectorsPerBlock; sector++) {
    const data = child.sectors.get(first + sector);
    if (data === undefined) continue;
    stored++;
    bytes[sector >> 3] = (bytes[sector >> 3] ?? 0) | (0x80 >> (sector & 7));
    bytes.set(data, bitmapSize + sector * 512);
  }
  return stored === 0 ? undefined : bytes;
}
