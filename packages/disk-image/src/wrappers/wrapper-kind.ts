import { ascii, asciiField } from '../bytes/numbers.ts';

/** Containers that are not disk images but hold them. */
export type WrapperKind = 'gz' | 'xz' | 'zst' | 'bz2' | 'lz4' | 'zip' | 'tar' | 'ova';

/** Magic numbers at the beginning: RFC 1952, the xz file format, RFC 8878, bzip2, the LZ4 frame format, PKWARE's APPNOTE. */
const MAGIC_NUMBERS: readonly { readonly wrapper: WrapperKind; readonly magic: readonly number[] }[] = [
  { wrapper: 'gz', magic: [0x1f, 0x8b, 0x08] },
  { wrapper: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { wrapper: 'zst', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { wrapper: 'lz4', magic: [0x04, 0x22, 0x4d, 0x18] },
  { wrapper: 'zip', magic: [0x50, 0x4b, 0x03, 0x04] },
  { wrapper: 'zip', magic: [0x50, 0x4b, 0x05, 0x06] },
];
/** "BZh", a digit, and the magic of the first block or of the end of an empty file. */
const BZIP2_BLOCKS = [
  [0x31, 0x41, 0x59, 0x26, 0x53, 0x59],
  [0x17, 0x72, 0x45, 0x38, 0x50, 0x90],
];
const TAR_BLOCK = 512;
const TAR_MAGIC_AT = 257;
const TAR_CHECKSUM_AT = 148;
const ZIP_END = [0x50, 0x4b, 0x05, 0x06];
const ZIP_END_BYTES = 22;

/** The container that begins with these bytes, if any. A tar whose first member is an `.ovf` is an `ova`. */
export function wrapperAtStart(head: Uint8Array): WrapperKind | undefined {
  const found = MAGIC_NUMBERS.find(({ magic }) => startsWith(head, 0, magic));
  if (found !== undefined) return found.wrapper;
  if (isBzip2(head)) return 'bz2';
  if (!isTar(head)) return undefined;
  return asciiField(head.subarray(0, 100)).toLowerCase().endsWith('.ovf') ? 'ova' : 'tar';
}

/**
 * True when the file ends with the end record of a zip archive. Programs that unpack find an archive from there, whatever
 * stands before it. Only a comment that fits in the probe's tail is seen.
 */
export function hasZipEnd({ tail }: { readonly tail: Uint8Array }): boolean {
  for (let at = tail.length - ZIP_END_BYTES; at >= 0; at--) {
    const commentLength = (tail[at + 20] ?? 0) + (tail[at + 21] ?? 0) * 256;
    if (at + ZIP_END_BYTES + commentLength === tail.length && startsWith(tail, at, ZIP_END)) return true;
  }
  return false;
}

function isBzip2(head: Uint8Array): boolean {
  const level = head[3] ?? 0;
  return (
    startsWith(head, 0, [...ascii('BZh')]) &&
    level >= 0x31 &&
    level <= 0x39 &&
    BZIP2_BLOCKS.some((magic) => startsWith(head, 4, magic))
  );
}

/** POSIX.1-1988 "ustar" header; older archives have no magic, so the header's checksum decides. */
function isTar(head: Uint8Array): boolean {
  if (head.length < TAR_BLOCK || head[0] === 0) return false;
  if (startsWith(head, TAR_MAGIC_AT, [...ascii('ustar')])) return true;
  const digits = asciiField(head.subarray(TAR_CHECKSUM_AT, TAR_CHECKSUM_AT + 8)).trim();
  if (!/^[0-7]{4,7}$/.test(digits)) return false;
  let sum = 0;
  for (let i = 0; i < TAR_BLOCK; i++) {
    sum += i >= TAR_CHECKSUM_AT && i < TAR_CHECKSUM_AT + 8 ? 0x20 : (head[i] ?? 0);
  }
  return sum === Number.parseInt(digits, 8);
}

function startsWith(bytes: Uint8Array, at: number, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[at + i] === byte);
}
