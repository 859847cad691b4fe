import { assert } from '../errors.ts';

/** The 16 bytes as a GUID in text, first three groups little-endian (UEFI specification, appendix A; MS-DTYP 2.3.4). */
export function guidText(bytes: Uint8Array): string {
  return uuidText(Uint8Array.from(GUID_BYTE_ORDER, (at) => bytes[at] ?? 0));
}

/** The 16 bytes as a UUID in text, all groups big-endian (RFC 9562, section 4). */
export function uuidText(bytes: Uint8Array): string {
  const hex = Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The 16 bytes of a GUID in text, as `guidText` gives it. Fails on any other text: it comes from our own tables. */
export function guidBytes(text: string): Uint8Array {
  const bytes = uuidBytes(text);
  return Uint8Array.from(GUID_BYTE_ORDER, (at) => bytes[at] ?? 0);
}

/** The 16 bytes of a UUID in text, as `uuidText` gives it. Fails on any other text: it comes from our own tables. */
export function uuidBytes(text: string): Uint8Array {
  const hex = text.replaceAll('-', '');
  assert(/^[0-9a-f]{32}$/i.test(hex), 'a UUID has 32 hexadecimal digits');
  return Uint8Array.from({ length: 16 }, (_, at) => Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16));
}

/**
 * A UUID in text from 16 bytes of seed, always the same for the same seed; each `index` up to 255 gives another one.
 * RFC 9562, section 5.8: version 8, whose bits mean what their maker says.
 */
export function seededUuid(seed: Uint8Array, index: number): string {
  const bytes = Uint8Array.from({ length: 16 }, (_, at) => (seed[at] ?? 0) ^ (index * (at + 1)));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return uuidText(bytes);
}

const GUID_BYTE_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
