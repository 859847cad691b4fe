import { formatAmong, otherFormatThan } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const FORMATS =
  'https://docs.okd.io/4.12/virt/virtual_machines/importing_vms/virt-importing-virtual-machine-images-datavolumes.html';
const MORE_FORMATS = 'https://github.com/kubevirt/containerized-data-importer/pull/1669';

/** KubeVirt and its Containerized Data Importer. */
export const kubevirt: TargetProfile = {
  name: 'kubevirt',
  title: 'KubeVirt (Containerized Data Importer)',
  output: { format: 'qcow2', options: {}, extension: 'qcow2' },
  rules: [
    unpacked([FORMATS, 'flatcar scripts #1988'], 'gz', 'xz', 'zst'),
    ...WHOLE_IMAGE,
    {
      id: 'kubevirt-format',
      severity: 'refusal',
      about: 'file',
      sentence: 'The importer takes raw and QCOW2; newer ones also VMDK, VDI, VHD and VHDX.',
      mend: 'diskmorph convert --for kubevirt FILE DISK.qcow2',
      sources: [FORMATS, MORE_FORMATS],
      breach: otherFormatThan(
        { format: 'raw' },
        { format: 'qcow2' },
        { format: 'vmdk' },
        { format: 'vdi' },
        { format: 'vhd' },
        { format: 'vhdx' },
      ),
    },
    {
      id: 'kubevirt-scratch-space',
      severity: 'warning',
      about: 'file',
      sentence: 'VMDK, VDI, VHD and VHDX need a newer importer, and scratch space as large as the image.',
      mend: 'diskmorph convert --for kubevirt FILE DISK.qcow2',
      sources: [MORE_FORMATS, 'https://github.com/kubevirt/containerized-data-importer/issues/1287'],
      breach: formatAmong({ format: 'vmdk' }, { format: 'vdi' }, { format: 'vhd' }, { format: 'vhdx' }),
    },
  ],
  unchecked: ['for a container disk: the image in /disk, owned by user 107'],
  next: ['virtctl image-upload dv NAME --size=SIZE --image-path=FILE'],
};
