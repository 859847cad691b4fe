import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { guidText } from '../../bytes/guid.ts';
import { checkedRange, fieldReader } from '../../bytes/numbers.ts';
import { MIB } from './limits.ts';
import { vhdxError } from './vhdx-error.ts';

const HEADER_BYTES = 20;
const ENTRY_BYTES = 12;
/** The specification names five keys; more are not looked at. */
const MAX_ENTRIES = 64;
const MAX_LOCATOR_BYTES: number = MIB;
/** The locator for a parent that is a VHDX file, the only one that the specification defines. */
const VHDX_PARENT = 'b04aefb7-d19e-4a81-b789-25b8e9445913';
/** In the order in which they are to be tried: [MS-VHDX] 2.6.2.6.3. */
const PATH_KEYS = ['relative_path', 'volume_path', 'absolute_win32_path'] as const;
const LINKAGE_KEYS = ['parent_linkage', 'parent_linkage2'] as const;

/** Where the parent is, and how it is known. */
export interface ParentLocator {
  /** True for the one kind that the specification defines; the rest is empty for any other. */
  readonly isVhdx: boolean;
  readonly kind: string;
  /** Keys and values as they stand. */
  readonly entries: ReadonlyMap<string, string>;
}

/** The keys and values that say where the parent is. [MS-VHDX] 2.6.2.6. Throws `corrupt` or `truncated`. */
export async function readParentLocator(
  source: ByteSource,
  place: { readonly at: number; readonly length: number },
): Promise<ParentLocator> {
  const context = { format: 'vhdx', structure: 'parent locator', offset: place.at };
  checkedRange(place.length, HEADER_BYTES, MAX_LOCATOR_BYTES, { ...context, field: 'length' });
  const fields = fieldReader(await readBytes(source, place.at, place.length), 'little', context);
  const kind = guidText(fields.bytes(0, 16));
  if (kind !== VHDX_PARENT) return { isVhdx: false, kind, entries: new Map() };
  const count = checkedRange(fields.u16(18), 0, MAX_ENTRIES, { ...context, field: 'entry count' });
  const corrupt = (message: string): Error => vhdxError('corrupt', message, 'parent locator', place.at);
  const text = (at: number, length: number): string => {
    if (at + length > place.length) throw corrupt('A text lies outside the parent locator');
    return new TextDecoder('utf-16le').decode(fields.bytes(at, length));
  };
  if (HEADER_BYTES + count * ENTRY_BYTES > place.length) {
    throw corrupt(`${count} entries do not fit into the parent locator`);
  }
  const entries = new Map<string, string>();
  for (let i = 0; i < count; i++) {
    const entry = HEADER_BYTES + i * ENTRY_BYTES;
    const key = text(fields.u32(entry), fields.u16(entry + 8));
    if (entries.has(key)) throw corrupt('A key is in the parent locator twice');
    entries.set(key, text(fields.u32(entry + 4), fields.u16(entry + 10)));
  }
  return { isVhdx: true, kind, entries };
}

/**
 * The path to open: the first that is there. A relative path gets "/" for its "\", so that it means the same file on
 * every system; the others name volumes of Windows and stay as they are.
 */
export function parentPath(locator: ParentLocator): string | undefined {
  for (const key of PATH_KEYS) {
    const path = locator.entries.get(key);
    if (path !== undefined && path !== '') return key === 'relative_path' ? path.replaceAll('\\', '/') : path;
  }
  return undefined;
}

/** The `DataWriteGuid`s of which the parent must bear one, as `guidText` gives them. */
export function parentLinkage(locator: ParentLocator): readonly string[] {
  return LINKAGE_KEYS.flatMap((key) => {
    const guid = /^\{([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}$/i.exec(locator.entries.get(key) ?? '')?.[1];
    return guid === undefined ? [] : [guid.toLowerCase()];
  });
}
