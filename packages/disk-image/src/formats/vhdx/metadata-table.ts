import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import { guidBytes, guidText } from '../../bytes/guid.ts';
import { ascii, asciiField, checkedRange, fieldReader } from '../../bytes/numbers.ts';
import { KIB, MIB } from './limits.ts';
import type { Region } from './region-table.ts';
import { vhdxError } from './vhdx-error.ts';

const SIGNATURE = 'metadata';
/** The table; items follow it. */
export const METADATA_TABLE_BYTES: number = 64 * KIB;
const ENTRIES_AT = 32;
const ENTRY_BYTES = 32;
/** The specification's limit. */
const MAX_ENTRIES = 2047;
/** The specification's limit for one item. */
const MAX_ITEM_BYTES: number = MIB;

const FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const VIRTUAL_DISK_SIZE = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
/** What the guest gets as page 83 of its vital product data. */
const VIRTUAL_DISK_ID = 'beca12ab-b2e6-4523-93ef-c309e000c746';
const LOGICAL_SECTOR_SIZE = '8141bf1d-a96f-4709-ba47-f233a8faab5f';
const PHYSICAL_SECTOR_SIZE = 'cda348c7-445d-4471-9cc9-e9885251c556';
const PARENT_LOCATOR = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c';
const KNOWN_ITEMS: ReadonlySet<string> = new Set([
  FILE_PARAMETERS,
  VIRTUAL_DISK_SIZE,
  VIRTUAL_DISK_ID,
  LOGICAL_SECTOR_SIZE,
  PHYSICAL_SECTOR_SIZE,
  PARENT_LOCATOR,
]);

const IS_USER = 1;
const IS_VIRTUAL_DISK = 2;
const IS_REQUIRED = 4;
const LEAVE_BLOCKS_ALLOCATED = 1;
const HAS_PARENT = 2;

interface Item {
  readonly guid: string;
  /** Byte offset in the file. */
  readonly at: number;
  readonly length: number;
  readonly isUser: boolean;
  readonly required: boolean;
}

/** What the metadata region says about the disk. [MS-VHDX] 2.6.2, "Known Metadata Items". */
export interface Metadata {
  /** Guest bytes of one payload block. */
  readonly blockSize: number;
  readonly leaveBlocksAllocated: boolean;
  readonly hasParent: boolean;
  readonly diskSize: number;
  readonly diskId: string;
  readonly logicalSectorSize: number;
  readonly physicalSectorSize: number;
  /** Byte offset of the parent locator item. */
  readonly parentLocator: { readonly at: number; readonly length: number } | undefined;
  /** Items that a reader must know to open the file, and this one does not. */
  readonly unknownRequiredItems: readonly string[];
}

const CONTEXT = { format: 'vhdx', structure: 'metadata table' };

/** The metadata in `region`. Throws `corrupt` when the table or a required item is missing or wrong, `truncated`. */
export async function readMetadata(source: ByteSource, region: Region): Promise<Metadata> {
  const items = await readItems(source, region);
  const parameters = fieldReader(await itemBytes(source, items, FILE_PARAMETERS, 8), 'little', CONTEXT);
  const size = fieldReader(await itemBytes(source, items, VIRTUAL_DISK_SIZE, 8), 'little', CONTEXT);
  const logical = fieldReader(await itemBytes(source, items, LOGICAL_SECTOR_SIZE, 4), 'little', CONTEXT);
  const physical = fieldReader(await itemBytes(source, items, PHYSICAL_SECTOR_SIZE, 4), 'little', CONTEXT);
  const locator = systemItem(items, PARENT_LOCATOR);
  return {
    blockSize: parameters.u32(0),
    leaveBlocksAllocated: (parameters.u32(4) & LEAVE_BLOCKS_ALLOCATED) !== 0,
    hasParent: (parameters.u32(4) & HAS_PARENT) !== 0,
    diskSize: size.u64(0, 'virtual disk size'),
    diskId: guidText(await itemBytes(source, items, VIRTUAL_DISK_ID, 16)),
    logicalSectorSize: logical.u32(0),
    physicalSectorSize: physical.u32(0),
    parentLocator: locator === undefined ? undefined : { at: locator.at, length: locator.length },
    unknownRequiredItems: items
      .filter((item) => item.required && (item.isUser || !KNOWN_ITEMS.has(item.guid)))
      .map((item) => item.guid),
  };
}

async function readItems(source: ByteSource, region: Region): Promise<readonly Item[]> {
  checkInside(source.size, region.fileOffset, METADATA_TABLE_BYTES);
  const context = { ...CONTEXT, offset: region.fileOffset };
  const fields = fieldReader(await readBytes(source, region.fileOffset, METADATA_TABLE_BYTES), 'little', context);
  if (asciiField(fields.bytes(0, 8)) !== SIGNATURE) {
    throw vhdxError('corrupt', 'The metadata table does not begin with "metadata"', 'metadata table', context.offset);
  }
  const count = checkedRange(fields.u16(10), 0, MAX_ENTRIES, { ...context, field: 'entry count' });
  const items = Array.from({ length: count }, (_, i) => ENTRIES_AT + i * ENTRY_BYTES).map((entry) => {
    const length = checkedRange(fields.u32(entry + 20), 0, MAX_ITEM_BYTES, { ...context, field: 'item length' });
    const flags = fields.u32(entry + 24);
    return {
      guid: guidText(fields.bytes(entry, 16)),
      at: region.fileOffset + itemOffset(fields.u32(entry + 16), length, region),
      length,
      isUser: (flags & IS_USER) !== 0,
      required: (flags & IS_REQUIRED) !== 0,
    };
  });
  refuseRepeated(items, region);
  return items;
}

/** An item lies behind the table and inside the region; one without bytes has no place. [MS-VHDX] 2.6.1.2. */
function itemOffset(offset: number, length: number, region: Region): number {
  if (length === 0 || (offset >= METADATA_TABLE_BYTES && offset + length <= region.length)) return offset;
  throw vhdxError(
    'corrupt',
    `A metadata item claims bytes ${offset} to ${offset + length} of a region of ${region.length} bytes`,
    'metadata table',
    region.fileOffset,
  );
}

function refuseRepeated(items: readonly Item[], region: Region): void {
  const seen = new Set<string>();
  for (const { guid, isUser } of items) {
    const key = `${isUser ? 'user' : 'system'} ${guid}`;
    if (seen.has(key)) {
      throw vhdxError('corrupt', `The metadata item ${guid} is there twice`, 'metadata table', region.fileOffset);
    }
    seen.add(key);
  }
}

function systemItem(items: readonly Item[], guid: string): Item | undefined {
  return items.find((candidate) => candidate.guid === guid && !candidate.isUser);
}

async function itemBytes(source: ByteSource, items: readonly Item[], guid: string, size: number): Promise<Uint8Array> {
  const item = systemItem(items, guid);
  if (item !== undefined && item.length === size) return readBytes(source, item.at, size);
  const fault = item === undefined ? 'is missing' : `has ${item.length} bytes; it must have ${size}`;
  throw vhdxError('corrupt', `The metadata item ${guid} ${fault}`, 'metadata table', item?.at);
}

/** What the writer decides about a disk; it has no parent. */
export interface NewMetadata {
  readonly blockSize: number;
  readonly leaveBlocksAllocated: boolean;
  readonly diskSize: number;
  /** 16 bytes. */
  readonly diskId: Uint8Array;
  readonly logicalSectorSize: number;
  readonly physicalSectorSize: number;
}

/** The metadata table and its five items, to stand at the beginning of the region. */
export function encodeMetadata(metadata: NewMetadata): Uint8Array {
  const items: readonly (readonly [guid: string, flags: number, value: Uint8Array])[] = [
    [
      FILE_PARAMETERS,
      IS_REQUIRED,
      littleWords(metadata.blockSize, metadata.leaveBlocksAllocated ? LEAVE_BLOCKS_ALLOCATED : 0),
    ],
    [
      VIRTUAL_DISK_SIZE,
      IS_REQUIRED | IS_VIRTUAL_DISK,
      littleWords(metadata.diskSize % 2 ** 32, Math.floor(metadata.diskSize / 2 ** 32)),
    ],
    [VIRTUAL_DISK_ID, IS_REQUIRED | IS_VIRTUAL_DISK, metadata.diskId],
    [LOGICAL_SECTOR_SIZE, IS_REQUIRED | IS_VIRTUAL_DISK, littleWords(metadata.logicalSectorSize)],
    [PHYSICAL_SECTOR_SIZE, IS_REQUIRED | IS_VIRTUAL_DISK, littleWords(metadata.physicalSectorSize)],
  ];
  const bytes = new Uint8Array(METADATA_TABLE_BYTES + items.reduce((sum, item) => sum + item[2].length, 0));
  const view = new DataView(bytes.buffer);
  bytes.set(ascii(SIGNATURE));
  view.setUint16(10, items.length, true);
  let offset = METADATA_TABLE_BYTES;
  for (const [index, [guid, flags, value]] of items.entries()) {
    const entry = ENTRIES_AT + index * ENTRY_BYTES;
    bytes.set(guidBytes(guid), entry);
    view.setUint32(entry + 16, offset, true);
    view.setUint32(entry + 20, value.length, true);
    view.setUint32(entry + 24, flags, true);
    bytes.set(value, offset);
    offset += value.length;
  }
  return bytes;
}

function littleWords(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true);
  return bytes;
}
