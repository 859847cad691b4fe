import { assert } from '@diskmorph/disk-image';

/** Bytes that the archive stores of its member; both numbers are multiples of `TAR_BLOCK`. */
export interface StoredRegion {
  readonly offset: number;
  readonly length: number;
}

/** Bytes of a tar block: headers are made of them and data is padded to them. */
export const TAR_BLOCK = 512;

/** Places in the header block. GNU tar manual, "Basic Tar Format", `struct oldgnu_header`. */
const AT = {
  name: 0,
  mode: 100,
  userId: 108,
  groupId: 116,
  size: 124,
  modifiedAt: 136,
  checksum: 148,
  type: 156,
  magic: 257,
  regions: 386,
  isExtended: 482,
  realSize: 483,
} as const;
const MAX_NAME = 99;
const CHECKSUM_LENGTH = 8;
const NUMBER_LENGTH = 12;
const REGION_LENGTH = 2 * NUMBER_LENGTH;
const REGIONS_IN_HEADER = 4;
const REGIONS_IN_EXTENSION = 21;
const EXTENSION_IS_EXTENDED_AT = 504;
/** More does not fit into eleven octal digits. */
const MAX_OCTAL: number = 8 ** 11 - 1;

/**
 * The blocks before the data of one sparse member in the old GNU format: no times, no owner, mode 0644. After them come
 * the regions' bytes one behind the other.
 */
export function sparseMemberHeader(name: string, size: number, regions: readonly StoredRegion[]): Uint8Array {
  // A last region without bytes says where the member ends, as GNU tar writes it.
  const all = [...regions, { offset: size, length: 0 }];
  const beyond = Math.max(0, all.length - REGIONS_IN_HEADER);
  const header = new Uint8Array(TAR_BLOCK * (1 + Math.ceil(beyond / REGIONS_IN_EXTENSION)));
  fillHeader(header, name, size, regions);
  putRegions(header, AT.regions, all.slice(0, REGIONS_IN_HEADER));
  header[AT.isExtended] = beyond > 0 ? 1 : 0;
  for (let start = TAR_BLOCK, from = REGIONS_IN_HEADER; from < all.length; start += TAR_BLOCK) {
    putRegions(header, start, all.slice(from, from + REGIONS_IN_EXTENSION));
    from += REGIONS_IN_EXTENSION;
    header[start + EXTENSION_IS_EXTENDED_AT] = from < all.length ? 1 : 0;
  }
  putChecksum(header);
  return header;
}

function fillHeader(header: Uint8Array, name: string, size: number, regions: readonly StoredRegion[]): void {
  assert(name.length <= MAX_NAME, 'the name fits');
  putText(header, AT.name, name);
  putText(header, AT.mode, '0000644');
  putText(header, AT.userId, '0000000');
  putText(header, AT.groupId, '0000000');
  putNumber(
    header,
    AT.size,
    regions.reduce((sum, { length }) => sum + length, 0),
  );
  putNumber(header, AT.modifiedAt, 0);
  putText(header, AT.type, 'S');
  putText(header, AT.magic, 'ustar  ');
  putNumber(header, AT.realSize, size);
}

function putRegions(header: Uint8Array, start: number, regions: readonly StoredRegion[]): void {
  for (const [index, { offset, length }] of regions.entries()) {
    assert(length % TAR_BLOCK === 0, 'a region is whole blocks');
    putNumber(header, start + index * REGION_LENGTH, offset);
    putNumber(header, start + index * REGION_LENGTH + NUMBER_LENGTH, length);
  }
}

function putText(header: Uint8Array, at: number, text: string): void {
  header.set(new TextEncoder().encode(text), at);
}

/** Octal digits, or, where they do not suffice, a big-endian number behind a byte 0x80. */
function putNumber(header: Uint8Array, at: number, value: number): void {
  if (value <= MAX_OCTAL) {
    putText(header, at, value.toString(8).padStart(NUMBER_LENGTH - 1, '0'));
    return;
  }
  header[at] = 0x80;
  new DataView(header.buffer, header.byteOffset).setBigUint64(at + NUMBER_LENGTH - 8, BigInt(value));
}

/** The sum of the first block's bytes, its own field taken as spaces. */
function putChecksum(header: Uint8Array): void {
  header.fill(0x20, AT.checksum, AT.checksum + CHECKSUM_LENGTH);
  const sum = header.subarray(0, TAR_BLOCK).reduce((total, byte) => total + byte, 0);
  putText(header, AT.checksum, `${sum.toString(8).padStart(6, '0')}\0 `);
}
