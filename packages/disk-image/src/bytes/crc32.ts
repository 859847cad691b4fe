/** CRC-32 of `bytes` (reflected polynomial 0xedb88320, as in IEEE 802.3, gzip and GPT). */
export function crc32(bytes: Uint8Array): number {
  return crcOf(bytes, IEEE_TABLE);
}

/** CRC-32 of bytes that came before, whose CRC-32 is `crc` (0 for none), and `bytes`. */
export function crc32Continued(crc: number, bytes: Uint8Array): number {
  return crcOf(bytes, IEEE_TABLE, crc);
}

/** CRC-32C of `bytes` (Castagnoli, reflected polynomial 0x82f63b78, RFC 3720 appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  return crcOf(bytes, CASTAGNOLI_TABLE);
}

/** `bytes` as a copy in which the 4-byte checksum field at `at` is zero, as most headers want it while summed. */
export function withZeroedField(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy.fill(0, at, at + 4);
  return copy;
}

const IEEE_TABLE = tableOf(0xedb88320);
const CASTAGNOLI_TABLE = tableOf(0x82f63b78);

function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
}

function crcOf(bytes: Uint8Array, table: Uint32Array, before: number = 0): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}
