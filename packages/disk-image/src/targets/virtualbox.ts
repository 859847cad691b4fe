import { otherFormatThan } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const DISK_FILES = 'https://docs.oracle.com/en/virtualization/virtualbox/6.0/user/vdidetails.html';

/** Oracle VirtualBox. */
export const virtualbox: TargetProfile = {
  name: 'virtualbox',
  title: 'Oracle VirtualBox',
  output: { format: 'vdi', options: {}, extension: 'vdi' },
  rules: [
    unpacked([DISK_FILES], 'ova'),
    ...WHOLE_IMAGE,
    {
      id: 'virtualbox-format',
      severity: 'warning',
      about: 'file',
      sentence:
        'The manual lists VDI, VMDK, VHD and Parallels (version 2); others are read by some releases, if at all.',
      mend: 'diskmorph convert --for virtualbox FILE DISK.vdi',
      sources: [DISK_FILES],
      breach: otherFormatThan({ format: 'vdi' }, { format: 'vmdk' }, { format: 'vhd' }, { format: 'parallels' }),
    },
  ],
  unchecked: [],
  next: ['VBoxManage storageattach MACHINE --storagectl SATA --port 0 --type hdd --medium FILE'],
};
