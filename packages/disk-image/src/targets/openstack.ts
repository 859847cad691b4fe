import { detailOtherThan, hybridPartitions, otherFormatThan } from './breach.ts';
import type { TargetProfile, TargetRule } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const CEPH = 'https://docs.ceph.com/en/latest/rbd/rbd-openstack/';
const INSPECTOR = 'oslo.utils, imageutils.format_inspector';

const NO_HYBRID: TargetRule = {
  id: 'openstack-hybrid-gpt',
  severity: 'warning',
  about: 'disk',
  sentence: 'The check of uploads refuses a GPT whose MBR names other partitions, unless it is configured otherwise.',
  mend: 'Write a protective MBR in the guest, or upload it where gpt is among the formats that are let through.',
  sources: [INSPECTOR],
  breach: hybridPartitions,
};

/** OpenStack whose images, volumes and machines lie in Ceph. */
export const openstackCeph: TargetProfile = {
  name: 'openstack-ceph',
  title: 'OpenStack on Ceph',
  output: { format: 'raw', options: {}, extension: 'raw' },
  rules: [
    unpacked([CEPH]),
    ...WHOLE_IMAGE,
    {
      id: 'ceph-raw',
      severity: 'refusal',
      about: 'file',
      sentence:
        'To boot machines from Ceph, images must be raw: others are copied and converted at each start, or refused.',
      mend: 'diskmorph convert --for openstack-ceph FILE DISK.raw',
      sources: [CEPH],
      breach: otherFormatThan({ format: 'raw' }),
    },
    NO_HYBRID,
  ],
  unchecked: ['virtio drivers and cloud-init in the guest'],
  next: ['openstack image create --disk-format raw --container-format bare --file FILE NAME'],
};

/** OpenStack with disks in files on its compute hosts. */
export const openstackQemu: TargetProfile = {
  name: 'openstack-qemu',
  title: 'OpenStack with QEMU disks in files',
  output: { format: 'qcow2', options: {}, extension: 'qcow2' },
  rules: [
    unpacked([INSPECTOR]),
    ...WHOLE_IMAGE,
    {
      id: 'openstack-format',
      severity: 'refusal',
      about: 'file',
      sentence:
        'The check of uploads lets raw, QCOW2, VHDX and VDI through, VMDK as monolithicSparse or streamOptimized, and VHD as dynamic: a fixed one is taken for raw.',
      mend: 'diskmorph convert --for openstack-qemu FILE DISK.qcow2',
      sources: [INSPECTOR],
      breach: otherFormatThan(
        { format: 'qcow2' },
        { format: 'raw' },
        { format: 'vhdx' },
        { format: 'vdi' },
        { format: 'vmdk', subformats: ['monolithicSparse', 'streamOptimized'] },
        { format: 'vhd', subformats: ['dynamic'] },
      ),
    },
    {
      id: 'openstack-no-extended-l2',
      severity: 'refusal',
      about: 'file',
      sentence: 'The check of uploads refuses QCOW2 with extended L2 entries as an unknown feature.',
      mend: 'diskmorph convert --for openstack-qemu FILE DISK.qcow2',
      sources: [INSPECTOR],
      breach: detailOtherThan('qcow2', 'extended-l2', [false]),
    },
    NO_HYBRID,
  ],
  unchecked: ['virtio drivers and cloud-init in the guest'],
  next: ['openstack image create --disk-format qcow2 --container-format bare --file FILE NAME'],
};
