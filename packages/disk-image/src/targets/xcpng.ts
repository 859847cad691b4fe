import { diskLargerThan, formatAmong, otherFormatThan } from './breach.ts';
import type { Candidate } from './candidate.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const GIB: number = 2 ** 30;

const IMPORT = 'https://docs.xenserver.com/en-us/xencenter/current-release/vms-exportimport-diskimage';
const MIGRATION = 'https://github.com/xcp-ng/xcp-ng-org/pull/299';

function madeByQemu({ format, info }: Candidate): string | undefined {
  const creator = info?.details['creator'];
  if (format !== 'vhd' || typeof creator !== 'string' || !/^qem[u2]/.test(creator)) return undefined;
  return `says that ${creator.slice(0, 4)} made it`;
}

/** XCP-ng, XenServer and Xen Orchestra. */
export const xcpng: TargetProfile = {
  name: 'xcpng',
  title: 'XCP-ng and XenServer',
  output: { format: 'vhd', options: { subformat: 'dynamic', force_size: 'on' }, extension: 'vhd' },
  rules: [
    unpacked([IMPORT], 'ova'),
    ...WHOLE_IMAGE,
    {
      id: 'xcpng-format',
      severity: 'refusal',
      about: 'file',
      sentence: 'Disks are imported as VHD; newer releases also take VHDX, VMDK or QCOW2.',
      mend: 'diskmorph convert --for xcpng FILE DISK.vhd',
      sources: [IMPORT, MIGRATION],
      breach: otherFormatThan({ format: 'vhd' }, { format: 'vhdx' }, { format: 'vmdk' }, { format: 'qcow2' }),
    },
    {
      id: 'xcpng-newer-release',
      severity: 'warning',
      about: 'file',
      sentence: 'VHDX needs XenServer 8.4, VMDK an importing program, QCOW2 a release of 2026.',
      mend: 'diskmorph convert --for xcpng FILE DISK.vhd works with all of them.',
      sources: [IMPORT, 'https://github.com/vatesfr/xen-orchestra/issues/8794'],
      breach: formatAmong({ format: 'vhdx' }, { format: 'vmdk' }, { format: 'qcow2' }),
    },
    {
      id: 'xcpng-dynamic',
      severity: 'warning',
      about: 'file',
      sentence: 'What is imported and exported is the dynamic kind of VHD.',
      mend: 'diskmorph convert --for xcpng FILE DISK.vhd',
      sources: [IMPORT],
      breach: formatAmong({ format: 'vhd', subformats: ['fixed'] }),
    },
    {
      id: 'xcpng-not-vpc',
      severity: 'warning',
      about: 'file',
      sentence: 'VHD files that qemu-img made were seen to work with Hyper-V and not with XenServer.',
      mend: 'diskmorph convert --for xcpng FILE DISK.vhd',
      sources: ['https://github.com/apache/cloudstack/pull/2488'],
      breach: madeByQemu,
    },
    {
      id: 'xcpng-largest-vhd',
      severity: 'refusal',
      about: 'file',
      sentence: 'A VHD has at most 2040 GiB.',
      mend: 'Convert it to QCOW2 and use a release that takes it, or divide the data over several disks.',
      sources: ['Virtual Hard Disk Image Format Specification 1.0'],
      breach: diskLargerThan(2040 * GIB, 'vhd'),
    },
  ],
  unchecked: [],
  next: ['xe vdi-import uuid=UUID filename=FILE format=vhd'],
};
