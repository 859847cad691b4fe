import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { asciiField, fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';

export const MAGIC: Uint8Array = Uint8Array.from([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]);
const HEADER_BYTES_1 = 592;
const HEADER_BYTES_2 = 4096;
const KEY_SLOTS_AT = 208;
const KEY_SLOT_SIZE = 48;
const KEY_SLOT_COUNT = 8;
const KEY_SLOT_ACTIVE = 0x00ac71f3;

/** The partition header of version 1, numbers big-endian. LUKS On-Disk Format Specification 1.2.3, section 2. */
export interface Luks1Header {
  readonly version: 1;
  readonly cipher: string;
  readonly hash: string;
  readonly keyBytes: number;
  /** Byte offset of the encrypted guest bytes. */
  readonly payloadOffset: number;
  readonly activeKeySlots: number;
  readonly uuid: string;
}

/** The binary header of version 2. LUKS2 On-Disk Format Specification 1.1.4, section 2.1. */
export interface Luks2Header {
  readonly version: 2;
  /** Bytes of the binary header and the JSON area after it. */
  readonly headerSize: number;
  readonly label: string;
  readonly checksumAlgorithm: string;
  readonly uuid: string;
}

/** The header of either version. Throws `wrong_format` without the magic, `unsupported` for another version. */
export async function readHeader(source: ByteSource): Promise<Luks1Header | Luks2Header> {
  const start = fieldReader(await readBytes(source, 0, 8), 'big', { format: 'luks', structure: 'header' });
  if (!hasMagic(start.bytes(0, MAGIC.length))) {
    throw new ImageError('wrong_format', 'The file has no LUKS magic', {
      format: 'luks',
      structure: 'header',
      offset: 0,
    });
  }
  const version = start.u16(6);
  if (version === 1) return luks1(await readBytes(source, 0, HEADER_BYTES_1));
  if (version === 2) return luks2(await readBytes(source, 0, HEADER_BYTES_2));
  throw new ImageError('unsupported', `LUKS version ${version} is not known`, {
    format: 'luks',
    structure: 'header',
    offset: 6,
  });
}

/** True when the bytes begin with the magic. */
export function hasMagic(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.every((byte, i) => bytes[i] === byte);
}

function luks1(bytes: Uint8Array): Luks1Header {
  const fields = fieldReader(bytes, 'big', { format: 'luks', structure: 'header' });
  const slots = Array.from({ length: KEY_SLOT_COUNT }, (_, i) => fields.u32(KEY_SLOTS_AT + i * KEY_SLOT_SIZE));
  return {
    version: 1,
    cipher: `${asciiField(fields.bytes(8, 32))}-${asciiField(fields.bytes(40, 32))}`,
    hash: asciiField(fields.bytes(72, 32)),
    payloadOffset: fields.u32(104) * 512,
    keyBytes: fields.u32(108),
    uuid: asciiField(fields.bytes(168, 40)),
    activeKeySlots: slots.filter((state) => state === KEY_SLOT_ACTIVE).length,
  };
}

function luks2(bytes: Uint8Array): Luks2Header {
  const fields = fieldReader(bytes, 'big', { format: 'luks', structure: 'header' });
  return {
    version: 2,
    headerSize: fields.u64(8, 'header size'),
    label: asciiField(fields.bytes(24, 48)),
    checksumAlgorithm: asciiField(fields.bytes(72, 32)),
    uuid: asciiField(fields.bytes(168, 40)),
  };
}
