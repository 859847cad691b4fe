import { asciiField, fieldReader } from '../bytes/numbers.ts';
import type { Finding } from '../image/finding.ts';
import type { Contents } from './verdict.ts';

const SECTOR = 2048;
/** The first 16 sectors are the system area, free for anything: a boot record, a partition table. */
const FIRST_DESCRIPTOR = 16;
/** Real volumes have 3 to 6; what is here fits the first 128 KiB. */
const MAX_DESCRIPTORS = 48;
const BOOT_RECORD = 0;
const PRIMARY = 1;
const SUPPLEMENTARY = 2;
const TERMINATOR = 255;

/** An ISO 9660 volume. */
export type IsoVolume = Extract<Contents, { readonly kind: 'iso9660' }>;

/** The volume whose descriptors lie in `head` (the first 128 KiB of a disk), if any. ECMA-119, sections 8.1 to 8.5. */
export function findIsoVolume(head: Uint8Array): IsoVolume | undefined {
  let volume: IsoVolume | undefined;
  for (let i = 0; i < MAX_DESCRIPTORS; i++) {
    const start = (FIRST_DESCRIPTOR + i) * SECTOR;
    const sector = head.subarray(start, start + SECTOR);
    if (sector.length < SECTOR || asciiField(sector.subarray(1, 6)) !== 'CD001') break;
    const type = sector[0];
    if (type === TERMINATOR) break;
    if (type === PRIMARY && volume === undefined) volume = primaryVolume(sector);
    else if (volume !== undefined && type === SUPPLEMENTARY)
      volume = { ...volume, joliet: volume.joliet || isJoliet(sector) };
    else if (volume !== undefined && type === BOOT_RECORD) volume = { ...volume, bootable: true };
  }
  return volume;
}

function primaryVolume(sector: Uint8Array): IsoVolume {
  const fields = fieldReader(sector, 'little', { format: 'raw', structure: 'ISO 9660 volume descriptor' });
  return {
    kind: 'iso9660',
    volumeId: asciiField(fields.bytes(40, 32)).trim(),
    volumeSize: fields.u32(80) * fields.u16(128),
    joliet: false,
    bootable: false,
  };
}

/** Joliet's three escape sequences are "%/@", "%/C" and "%/E". */
function isJoliet(sector: Uint8Array): boolean {
  return /^%\/[@CE]/.test(asciiField(sector.subarray(88, 120)));
}

/** `truncated` when the volume is larger than the disk that holds it. */
export function isoFindings(volume: IsoVolume, diskSize: number): readonly Finding[] {
  if (volume.volumeSize <= diskSize) return [];
  const message = `The ISO 9660 volume has ${volume.volumeSize} bytes, but only ${diskSize} are there`;
  return [{ code: 'truncated', severity: 'unsafe', offset: FIRST_DESCRIPTOR * SECTOR + 80, message }];
}
