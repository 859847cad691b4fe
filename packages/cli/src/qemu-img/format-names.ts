import type { Format, FormatName } from '@diskmorph/disk-image';
import { findFormat } from '@diskmorph/disk-image';

/** qemu-img's name for each format, where it is another. */
const QEMU_NAMES: Partial<Record<FormatName, string>> = { vhd: 'vpc' };

const DRIVERS: readonly FormatName[] = [
  'bochs',
  'cloop',
  'dmg',
  'luks',
  'parallels',
  'qcow',
  'qcow2',
  'qed',
  'raw',
  'vdi',
  'vhdx',
  'vmdk',
  'vhd',
];

/** The name that qemu-img and its callers use for a format. */
export function qemuName(format: FormatName): string {
  return QEMU_NAMES[format] ?? format;
}

/** All names in the order of qemu-img's help. */
export const driverNames: readonly string[] = DRIVERS.map(qemuName);

/** The format that callers mean by `name`; undefined for a name that qemu-img does not have. */
export function findDriver(name: string): Format | undefined {
  const own = DRIVERS.find((format) => qemuName(format) === name);
  return own === undefined ? undefined : findFormat(own);
}
