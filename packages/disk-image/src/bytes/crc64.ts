/** A CRC-64 that is fed in pieces (ECMA-182, reflected polynomial 0xc96c5795d7870f42, as in the xz file format 1.1.0). */
export interface RunningCrc64 {
  update(bytes: Uint8Array): void;
  /** 8 bytes, little-endian. */
  digest(): Uint8Array;
}

const POLYNOMIAL = 0xc96c5795d7870f42n;
const TABLE = tableOf();

/** The CRC-64 of no bytes yet. */
export function crc64(): RunningCrc64 {
  let high = 0xffffffff;
  let low = 0xffffffff;
  return {
    update(bytes) {
      for (let i = 0; i < bytes.length; i++) {
        const index = (low ^ (bytes[i] ?? 0)) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ (TABLE.low[index] ?? 0);
        high = (high >>> 8) ^ (TABLE.high[index] ?? 0);
      }
    },
    digest() {
      const bytes = new Uint8Array(8);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, ~low, true);
      view.setUint32(4, ~high, true);
      return bytes;
    },
  };
}

function tableOf(): { readonly low: Uint32Array; readonly high: Uint32Array } {
  const values = Array.from({ length: 256 }, (_, byte) => {
    let value = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) value = (value & 1n) === 1n ? (value >> 1n) ^ POLYNOMIAL : value >> 1n;
    return value;
  });
  return {
    low: Uint32Array.from(values, (value) => Number(value & 0xffffffffn)),
    high: Uint32Array.from(values, (value) => Number(value >> 32n)),
  };
}
