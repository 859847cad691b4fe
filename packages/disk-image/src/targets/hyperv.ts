import { diskLargerThan, otherFormatThan, sparseFile } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const GIB: number = 2 ** 30;
const TIB: number = 2 ** 40;

const ABOUT_VHDS = 'https://msdn.microsoft.com/en-us/library/azure/dn790344(v=azure.100)';

/** Microsoft Hyper-V. */
export const hyperv: TargetProfile = {
  name: 'hyperv',
  title: 'Microsoft Hyper-V',
  output: { format: 'vhdx', options: { subformat: 'dynamic' }, dense: true, extension: 'vhdx' },
  rules: [
    unpacked([ABOUT_VHDS]),
    ...WHOLE_IMAGE,
    {
      id: 'hyperv-format',
      severity: 'refusal',
      about: 'file',
      sentence: 'Hyper-V takes VHD and VHDX.',
      mend: 'diskmorph convert --for hyperv FILE DISK.vhdx',
      sources: [ABOUT_VHDS],
      breach: otherFormatThan({ format: 'vhdx' }, { format: 'vhd' }),
    },
    {
      id: 'hyperv-largest-vhd',
      severity: 'refusal',
      about: 'file',
      sentence: 'A VHD has at most 2040 GiB.',
      mend: 'diskmorph convert --for hyperv FILE DISK.vhdx',
      sources: ['https://learn.microsoft.com/windows/win32/vpc/ivmvirtualpc-createfixedvirtualharddisk'],
      breach: diskLargerThan(2040 * GIB, 'vhd'),
    },
    {
      id: 'hyperv-largest-vhdx',
      severity: 'refusal',
      about: 'disk',
      sentence: 'A VHDX has at most 64 TiB.',
      mend: 'Divide the data over several disks.',
      sources: ['[MS-VHDX], virtual disk size'],
      breach: diskLargerThan(64 * TIB),
    },
    {
      id: 'hyperv-dense-file',
      severity: 'warning',
      about: 'file',
      sentence: 'On NTFS the file must not be sparse, compressed or encrypted (error 0xC03A001A).',
      mend: 'Copy it without keeping holes, or on the Windows host: fsutil sparse setflag FILE 0',
      sources: [
        'https://github.com/hashicorp/vagrant/issues/11118',
        'https://github.com/microsoft/WSL/issues/4103',
        'https://github.com/maharmstone/btrfs/issues/135',
      ],
      breach: sparseFile,
    },
  ],
  unchecked: ['whether the machine is of generation 1 (BIOS) or 2 (UEFI) as the guest expects'],
  next: ['fsutil sparse setflag FILE 0', 'Add-VMHardDiskDrive -VMName MACHINE -Path FILE'],
};
