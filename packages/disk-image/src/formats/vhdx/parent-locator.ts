import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { checkedRange, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

const HEADER_BYTES = 20;
const ENTRY_BYTES = 12;
/** The specification names five keys; more are not looked at. */
const MAX_ENTRIES = 64;
const MAX_LOCATOR_BYTES = 1024 * 1024;

/** The keys and values that say where the parent is. [MS-VHDX] 2.6.2.6. Throws `corrupt` or `truncated`. */
export async function readParentLocator(
  source: ByteSource,
  place: { readonly at: number; readonly length: number },
): Promise<ReadonlyMap<string, string>> {
  const context = { format: 'vhdx', structure: 'parent locator', offset: place.at };
  checkedRange(place.length, HEADER_BYTES, MAX_LOCATOR_BYTES, { ...context, field: 'length' });
  const fields = fieldReader(await readBytes(source, place.at, place.length), 'little', context);
  const count = checkedRange(fields.u16(18), 0, MAX_ENTRIES, { ...context, field: 'entry count' });
  const text = (at: number, length: number): string => {
    if (at + length > place.length) throw new ImageError('corrupt', 'A text lies outside the parent locator', context);
    return new TextDecoder('utf-16le').decode(fields.bytes(at, length));
  };
  if (HEADER_BYTES + count * ENTRY_BYTES > place.length) {
    throw new ImageError('corrupt', `${count} entries do not fit into the parent locator`, context);
  }
  return new Map(
    Array.from({ length: count }, (_, i) => HEADER_BYTES + i * ENTRY_BYTES).map((entry) => [
      text(fields.u32(entry), fields.u16(entry + 8)),
      text(fields.u32(entry + 4), fields.u16(entry + 10)),
    ]),
  );
}
