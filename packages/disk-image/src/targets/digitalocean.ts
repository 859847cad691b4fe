import { diskLargerThan, isoVolume, otherFormatThan, unpartitioned } from './breach.ts';
import type { Candidate } from './candidate.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const GB: number = 10 ** 9;
const GIB: number = 2 ** 30;

const IMAGES = 'https://www.digitalocean.com/docs/images/custom-images/';
const LIMITS = 'https://docs.digitalocean.com/products/custom-images/details/limits/';

const tooLarge = diskLargerThan(100 * GIB);
const perhapsTooLarge = diskLargerThan(100 * GB);

/** DigitalOcean: custom images. */
export const digitalocean: TargetProfile = {
  name: 'digitalocean',
  title: 'DigitalOcean',
  output: { format: 'qcow2', options: {}, extension: 'qcow2' },
  rules: [
    unpacked([IMAGES], 'gz', 'bz2'),
    ...WHOLE_IMAGE,
    {
      id: 'digitalocean-format',
      severity: 'refusal',
      about: 'file',
      sentence: 'DigitalOcean takes raw disks, QCOW2, VHDX, VDI and VMDK.',
      mend: 'diskmorph convert --for digitalocean FILE DISK.qcow2',
      sources: [IMAGES],
      breach: otherFormatThan(
        { format: 'raw' },
        { format: 'qcow2' },
        { format: 'vhdx' },
        { format: 'vdi' },
        { format: 'vmdk' },
      ),
    },
    {
      id: 'digitalocean-no-iso',
      severity: 'refusal',
      about: 'disk',
      sentence: 'ISO images are not taken.',
      mend: 'Install from the ISO image into a virtual machine and take its disk.',
      sources: [LIMITS],
      breach: isoVolume,
    },
    {
      id: 'digitalocean-largest',
      severity: 'refusal',
      about: 'disk',
      sentence: 'An unpacked image has less than 100 GB, the file system included.',
      mend: 'Make the disk smaller where it was made.',
      sources: [IMAGES, LIMITS],
      breach: tooLarge,
    },
    {
      id: 'digitalocean-nearly-largest',
      severity: 'warning',
      about: 'disk',
      sentence: 'An unpacked image has less than 100 GB; whether GB or GiB are counted is not said.',
      mend: 'Make the disk smaller than 100,000,000,000 bytes to be sure.',
      sources: [IMAGES, LIMITS],
      breach: (candidate: Candidate) => (tooLarge(candidate) === undefined ? perhapsTooLarge(candidate) : undefined),
    },
    {
      id: 'digitalocean-partitioned',
      severity: 'refusal',
      about: 'disk',
      sentence: 'The disk must have an MBR or GPT partition table.',
      mend: 'Make the image from a whole disk, not from one file system.',
      sources: [IMAGES],
      breach: (candidate: Candidate) => (isoVolume(candidate) === undefined ? unpartitioned(candidate) : undefined),
    },
  ],
  unchecked: [
    'a Unix-like system on ext3 or ext4',
    'cloud-init 0.7.7 or newer (or cloudbase-init, Ignition, bsd-cloudinit), with ConfigDrive before NoCloud',
    'sshd running at boot',
    'for an import by address: whether the server answers HEAD',
  ],
  next: ['doctl compute image create NAME --image-url ADDRESS --region REGION'],
};
