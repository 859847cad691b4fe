import { detailOtherThan, otherFormatThan } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const HOSTED_DISKS =
  'https://docs.vmware.com/en/VMware-vSphere/6.5/com.vmware.vsphere.storage.doc/GUID-9CC98802-82D9-44B0-9735-97675258FAAE.html';
const DISK_TYPES = 'https://kb.vmware.com/s/article/1022242';

const oldHeader = detailOtherThan('vmdk', 'header-version', [3]);

/** VMware ESXi and vSphere. */
export const esxi: TargetProfile = {
  name: 'esxi',
  title: 'VMware ESXi and vSphere',
  output: {
    format: 'vmdk',
    options: { subformat: 'streamOptimized', adapter_type: 'lsilogic' },
    extension: 'vmdk',
  },
  rules: [
    unpacked([DISK_TYPES], 'ova'),
    ...WHOLE_IMAGE,
    {
      id: 'esxi-stream-optimized',
      severity: 'refusal',
      about: 'file',
      sentence:
        'An import takes stream-optimized VMDK; a host does not run the sparse disks of Workstation and Fusion.',
      mend: 'diskmorph convert --for esxi FILE DISK.vmdk; or on the host: vmkfstools -i FILE DISK.vmdk',
      sources: [HOSTED_DISKS, DISK_TYPES, 'https://github.com/glennmatthews/cot/issues/65'],
      breach: otherFormatThan({ format: 'vmdk', subformats: ['streamOptimized'] }),
    },
    {
      id: 'esxi-version-3',
      severity: 'refusal',
      about: 'file',
      sentence: 'A stream-optimized VMDK must say version 3 in its header, or it is "not a supported disk format".',
      mend: 'diskmorph convert --for esxi FILE DISK.vmdk',
      sources: ['https://github.com/glennmatthews/cot/issues/65', 'mininet #483', 'flatcar scripts #540'],
      breach: (candidate) => (candidate.subformat === 'streamOptimized' ? oldHeader(candidate) : undefined),
    },
    {
      id: 'esxi-scsi',
      severity: 'warning',
      about: 'file',
      sentence:
        'Importers make the controller that the descriptor names; a SCSI adapter is what current machines have.',
      mend: 'diskmorph convert --for esxi FILE DISK.vmdk; or choose the controller in the OVF descriptor.',
      sources: ['BlackArch #1937', 'DietPi #3637'],
      breach: detailOtherThan('vmdk', 'adapter-type', ['lsilogic', 'buslogic', 'pvscsi']),
    },
  ],
  unchecked: ['an OVF descriptor around the disk: OVF 1.x, hardware family vmx-NN, no CIM StorageItem'],
  next: ['govc import.vmdk FILE FOLDER'],
};
