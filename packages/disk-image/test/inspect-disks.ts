import { crc32 } from '../src/bytes/crc32.ts';
import { ascii } from '../src/bytes/numbers.ts';
import { patched } from './goldens.ts';

const SECTOR = 512;

/** A partition of a handmade master boot record, in sectors. */
export interface MadePartition {
  readonly type: number;
  readonly first: number;
  readonly sectors: number;
}

/** The 512 bytes of a master boot record. */
export function mbrSector(partitions: readonly MadePartition[]): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  const view = new DataView(sector.buffer);
  partitions.forEach(({ type, first, sectors }, i) => {
    sector[446 + i * 16 + 4] = type;
    view.setUint32(446 + i * 16 + 8, first, true);
    view.setUint32(446 + i * 16 + 12, sectors, true);
  });
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** `disk` with an ISO 9660 volume of `blocks` blocks of 2048 bytes in it: primary, El Torito, Joliet, terminator. */
export function withIso(disk: Uint8Array, blocks: number): Uint8Array {
  const primary = descriptor(1);
  primary.set(ascii('DEBIAN 12'.padEnd(32)), 40);
  new DataView(primary.buffer).setUint32(80, blocks, true);
  new DataView(primary.buffer).setUint16(128, 2048, true);
  const joliet = patched(descriptor(2), 88, ascii('%/E'));
  return [primary, descriptor(0), joliet, descriptor(255)].reduce(
    (bytes, sector, i) => patched(bytes, 32768 + i * 2048, sector),
    disk,
  );
}

function descriptor(type: number): Uint8Array {
  const sector = new Uint8Array(2048);
  sector[0] = type;
  sector.set(ascii('CD001'), 1);
  sector[6] = 1;
  return sector;
}

/** One 512-byte ustar header of an empty member. */
export function tarHeader(name: string): Uint8Array {
  const header = new Uint8Array(SECTOR);
  header.set(ascii(name));
  header.set(ascii('ustar\u000000'), 257);
  return header;
}

/** A GPT disk whose primary header was changed by `change`, its checksum made right again. */
export function withGptHeader(disk: Uint8Array, change: (header: DataView) => void): Uint8Array {
  const header = disk.slice(SECTOR, 2 * SECTOR);
  const view = new DataView(header.buffer);
  change(view);
  view.setUint32(16, 0, true);
  view.setUint32(16, crc32(header.subarray(0, view.getUint32(12, true))), true);
  return patched(disk, SECTOR, header);
}

/** A VHD footer or dynamic header with its checksum at `at` made right. */
export function withVhdChecksum(structure: Uint8Array, at: number): Uint8Array {
  const copy = structure.slice();
  copy.fill(0, at, at + 4);
  const sum = copy.reduce((total, byte) => total + byte, 0);
  new DataView(copy.buffer).setUint32(at, ~sum >>> 0);
  return copy;
}

/** The end record of an empty zip archive. */
export const ZIP_END: Uint8Array = patched(new Uint8Array(22), 0, [0x50, 0x4b, 0x05, 0x06]);
