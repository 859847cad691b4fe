import type { ByteSource } from '../../bytes/byte-source.ts';
import { alignUp, checkedRange, fieldReader } from '../../bytes/numbers.ts';
import type { EntryStream } from './entry-stream.ts';
import { entryStream } from './entry-stream.ts';
import { faultError, tableFault } from './fault.ts';
import type { Qcow2Header } from './header.ts';
import { AUTOCLEAR, decodeName } from './header.ts';
import type { HeaderExtensions } from './header-extension.ts';
import { MAX_BITMAP_DIRECTORY_SIZE, MAX_BITMAP_EXTRA_DATA, MAX_BITMAP_NAME_LENGTH, MAX_BITMAPS } from './limits.ts';

const STRUCTURE = 'bitmap directory';
const FIXED_LENGTH = 24;
const MAX_GRANULARITY_BITS = 63;
const FLAG_IN_USE = 1;
const FLAG_AUTO = 2;

/** One persistent bitmap. */
export interface BitmapInfo {
  readonly name: string;
  /** Guest bytes of one bit. */
  readonly granularity: number;
  /** True when it was not saved correctly and may be wrong. */
  readonly inUse: boolean;
  /** True when it follows every write. */
  readonly auto: boolean;
  readonly tableOffset: number;
  /** Entries of the bitmap table. */
  readonly tableSize: number;
}

/**
 * All persistent bitmaps; none when the autoclear bit says that a program which does not know them wrote to the image,
 * since their directory may be anything then. Throws `corrupt` or `truncated`. qcow2 specification, "Bitmap directory".
 */
export async function readBitmapDirectory(
  source: ByteSource,
  header: Qcow2Header,
  extensions: HeaderExtensions,
): Promise<readonly BitmapInfo[]> {
  const { bitmaps } = extensions;
  if (bitmaps === undefined || !bitmapsAreConsistent(header)) return [];
  const field = { format: 'qcow2', structure: 'bitmaps extension', field: 'nb_bitmaps' };
  const count = checkedRange(bitmaps.count, 1, MAX_BITMAPS, field);
  const fault = tableFault(
    {
      structure: STRUCTURE,
      hostOffset: bitmaps.directoryOffset,
      sizeBytes: bitmaps.directorySize,
      maxSizeBytes: MAX_BITMAP_DIRECTORY_SIZE,
      field: extensions.all.find((extension) => extension.name === 'bitmaps')?.offset ?? 0,
    },
    2 ** header.clusterBits,
    source.size,
  );
  if (fault !== undefined) throw faultError(fault);
  const start = bitmaps.directoryOffset;
  const stream = entryStream(source, { start, end: start + bitmaps.directorySize, structure: STRUCTURE });
  const all: BitmapInfo[] = [];
  for (let index = 0; index < count; index++) all.push(await takeBitmap(stream));
  return all;
}

/** True when the autoclear bit says that the bitmaps extension can be believed. */
export function bitmapsAreConsistent(header: Qcow2Header): boolean {
  return (header.autoclearFeatures & AUTOCLEAR.bitmaps) !== 0n;
}

async function takeBitmap(stream: EntryStream): Promise<BitmapInfo> {
  const offset = stream.position;
  const context = { format: 'qcow2', structure: STRUCTURE, offset };
  const fixed = (await stream.take(FIXED_LENGTH)).slice();
  const fields = fieldReader(fixed, 'big', context);
  const limit = (value: number, max: number, field: string): number =>
    checkedRange(value, 0, max, { ...context, field });
  const extraLength = limit(fields.u32(20), MAX_BITMAP_EXTRA_DATA, 'extra_data_size');
  const nameLength = limit(fields.u16(18), MAX_BITMAP_NAME_LENGTH, 'name_size');
  const length = FIXED_LENGTH + extraLength + nameLength;
  const rest = await stream.take(alignUp(length, 8) - FIXED_LENGTH);
  return {
    name: decodeName(rest.subarray(extraLength, extraLength + nameLength)),
    granularity: 2 ** limit(fields.u8(17), MAX_GRANULARITY_BITS, 'granularity_bits'),
    inUse: (fields.u32(12) & FLAG_IN_USE) !== 0,
    auto: (fields.u32(12) & FLAG_AUTO) !== 0,
    tableOffset: fields.u64(0, 'bitmap_table_offset'),
    tableSize: fields.u32(8),
  };
}
