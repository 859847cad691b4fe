import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import { guidText } from '../../bytes/guid.ts';
import { asciiField, checkedRange, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { Region } from './region-table.ts';

const TABLE_BYTES = 64 * 1024;
/** The specification's limit. */
const MAX_ENTRIES = 2047;
/** The specification's limit for one item. */
const MAX_ITEM_BYTES = 1024 * 1024;
const SMALL_ITEM_BYTES = 16;

const FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const VIRTUAL_DISK_SIZE = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
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

/** The metadata in `region`. Throws `corrupt` when the table or a required item is missing or wrong, `truncated`. */
export async function readMetadata(source: ByteSource, region: Region): Promise<Metadata> {
  const items = await readItems(source, region);
  const parameters = fieldReader(await smallItem(source, items, FILE_PARAMETERS), 'little', CONTEXT);
  const size = fieldReader(await smallItem(source, items, VIRTUAL_DISK_SIZE), 'little', CONTEXT);
  const logical = fieldReader(await smallItem(source, items, LOGICAL_SECTOR_SIZE), 'little', CONTEXT);
  const physical = fieldReader(await smallItem(source, items, PHYSICAL_SECTOR_SIZE), 'little', CONTEXT);
  const locator = items.find((item) => item.guid === PARENT_LOCATOR);
  return {
    blockSize: parameters.u32(0),
    leaveBlocksAllocated: (parameters.u32(4) & 1) !== 0,
    hasParent: (parameters.u32(4) & 2) !== 0,
    diskSize: size.u64(0, 'virtual disk size'),
    diskId: guidText(await smallItem(source, items, VIRTUAL_DISK_ID)),
    logicalSectorSize: logical.u32(0),
    physicalSectorSize: physical.u32(0),
    parentLocator: locator === undefined ? undefined : { at: locator.at, length: locator.length },
    unknownRequiredItems: items
      .filter((item) => item.required && (item.isUser || !KNOWN_ITEMS.has(item.guid)))
      .map((item) => item.guid),
  };
}

const CONTEXT = { format: 'vhdx', structure: 'metadata table' };

async function readItems(source: ByteSource, region: Region): Promise<readonly Item[]> {
  checkInside(source.size, region.fileOffset, TABLE_BYTES);
  const context = { ...CONTEXT, offset: region.fileOffset };
  const fields = fieldReader(await readBytes(source, region.fileOffset, TABLE_BYTES), 'little', context);
  if (asciiField(fields.bytes(0, 8)) !== 'metadata') {
    throw new ImageError('corrupt', 'The metadata table does not begin with "metadata"', context);
  }
  const count = checkedRange(fields.u16(10), 0, MAX_ENTRIES, { ...context, field: 'entry count' });
  return Array.from({ length: count }, (_, i) => 32 + i * 32).map((entry) => ({
    guid: guidText(fields.bytes(entry, 16)),
    at: region.fileOffset + fields.u32(entry + 16),
    length: checkedRange(fields.u32(entry + 20), 0, MAX_ITEM_BYTES, { ...context, field: 'item length' }),
    isUser: (fields.u32(entry + 24) & 1) !== 0,
    required: (fields.u32(entry + 24) & 4) !== 0,
  }));
}

/** The first 16 bytes of an item, zeros after its end. */
async function smallItem(source: ByteSource, items: readonly Item[], guid: string): Promise<Uint8Array> {
  const item = items.find((candidate) => candidate.guid === guid && !candidate.isUser);
  if (item === undefined || item.length < 4) {
    throw new ImageError('corrupt', `The metadata item ${guid} is missing or empty`, CONTEXT);
  }
  const bytes = new Uint8Array(SMALL_ITEM_BYTES);
  await source.read(item.at, bytes.subarray(0, Math.min(item.length, SMALL_ITEM_BYTES)));
  return bytes;
}
