/**
 * The one's complement of the sum of all bytes, the 4-byte checksum field at `checksumAt` left out.
 * VHD Image Format Specification 1.0, "Checksum" of the footer and of the dynamic disk header.
 */
export function additiveChecksum(bytes: Uint8Array, checksumAt: number): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (i < checksumAt || i >= checksumAt + 4) sum += bytes[i] ?? 0;
  }
  return ~sum >>> 0;
}
