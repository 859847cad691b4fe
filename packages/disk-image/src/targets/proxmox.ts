import { otherFormatThan } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const API = 'https://pve.proxmox.com/pve-docs/api-viewer/';

/** Proxmox Virtual Environment. */
export const proxmox: TargetProfile = {
  name: 'proxmox',
  title: 'Proxmox VE',
  output: { format: 'qcow2', options: {}, extension: 'qcow2' },
  rules: [
    unpacked([API], 'ova'),
    ...WHOLE_IMAGE,
    {
      id: 'proxmox-format',
      severity: 'warning',
      about: 'file',
      sentence: 'The formats of a disk are raw, qcow2 and vmdk; others must be converted during the import.',
      mend: 'diskmorph convert --for proxmox FILE DISK.qcow2',
      sources: [API],
      breach: otherFormatThan({ format: 'qcow2' }, { format: 'raw' }, { format: 'vmdk' }),
    },
  ],
  unchecked: ['the storage: LVM, ZFS and Ceph hold raw disks, so that an import converts'],
  next: ['qm disk import ID FILE STORAGE'],
};
