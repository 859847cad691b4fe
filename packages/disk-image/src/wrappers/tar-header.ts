import { asciiField } from '../bytes/numbers.ts';
import { ImageError } from '../errors.ts';

export const TAR_BLOCK: number = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

/** One header block. POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format". */
export interface TarHeader {
  /** Name with its prefix, as it stands. */
  readonly name: string;
  /** Bytes of the content that follows, as the block says. */
  readonly size: number;
  /** One character, `0` for what old archives leave empty. */
  readonly type: string;
}

/** The header, undefined for a block of zeros. Throws `corrupt` when its checksum does not fit. */
export function parseTarHeader(block: Uint8Array, offset: number): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (!checksumFits(block)) throw tarError('corrupt', 'A header does not match its checksum', offset);
  const type = String.fromCharCode(block[156] ?? 0);
  const isPosix = asciiField(block.subarray(257, 263)) === 'ustar';
  const prefix = isPosix ? textField(block.subarray(345, 500)) : '';
  const name = textField(block.subarray(0, 100));
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: numberField(block.subarray(124, 136), offset),
    type: type === '\0' ? '0' : type,
  };
}

/** An error about the archive; `offset` in bytes in it. */
export function tarError(code: 'corrupt' | 'unsafe' | 'unsupported', message: string, offset: number): ImageError {
  return new ImageError(code, message, { structure: 'tar header', offset });
}

function textField(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Octal digits, or a binary number with the highest bit set (GNU). Throws `corrupt`. */
export function numberField(bytes: Uint8Array, offset: number): number {
  if (((bytes[0] ?? 0) & 0x80) !== 0) {
    const value = bytes.reduce((sum, byte, i) => sum * 256 + (i === 0 ? byte & 0x7f : byte), 0);
    if (Number.isSafeInteger(value)) return value;
    throw tarError('corrupt', 'A header has an impossible number', offset);
  }
  const digits = asciiField(bytes).trim();
  if (/^[0-7]*$/.test(digits)) return digits === '' ? 0 : Number.parseInt(digits, 8);
  throw tarError('corrupt', 'A header has an impossible number', offset);
}

/** The sum of all bytes, those of the checksum taken as spaces; some old programs summed signed bytes. */
function checksumFits(block: Uint8Array): boolean {
  const stored = Number.parseInt(asciiField(block.subarray(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES)).trim(), 8);
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < TAR_BLOCK; i++) {
    const byte = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_BYTES ? 0x20 : (block[i] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return stored === unsigned || stored === signed;
}
