import { formatAmong, otherFormatThan } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unencrypted, unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const FORMATS = 'https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html';
const LIMITS = 'https://docs.amazonaws.cn/en_us/vm-import/latest/userguide/limitations-image-importing.html';

/** Amazon EC2: VM Import/Export. */
export const aws: TargetProfile = {
  name: 'aws',
  title: 'Amazon EC2 (VM Import/Export)',
  output: { format: 'vmdk', options: { subformat: 'streamOptimized' }, extension: 'vmdk' },
  rules: [
    unpacked([FORMATS], 'ova'),
    ...WHOLE_IMAGE,
    unencrypted([LIMITS]),
    {
      id: 'aws-format',
      severity: 'refusal',
      about: 'file',
      sentence: 'EC2 imports raw, stream-optimized VMDK, and fixed or dynamic VHD and VHDX.',
      mend: 'diskmorph convert --for aws FILE DISK.vmdk',
      sources: [FORMATS, 'flatcar-docs #241'],
      breach: otherFormatThan(
        { format: 'raw' },
        { format: 'vmdk', subformats: ['streamOptimized'] },
        { format: 'vhd', subformats: ['fixed', 'dynamic'] },
        { format: 'vhdx', subformats: ['fixed', 'dynamic'] },
      ),
    },
    {
      id: 'aws-sesparse',
      severity: 'refusal',
      about: 'file',
      sentence: "VMware's SEsparse delta files are not imported.",
      mend: 'Consolidate the snapshots of the machine, export it again.',
      sources: [LIMITS],
      breach: formatAmong({ format: 'vmdk', subformats: ['seSparse'] }),
    },
  ],
  unchecked: [
    'whether the operating system is one of those that EC2 imports',
    'whether the root partition lies on the disk that boots, and whether there are more than 21 disks',
  ],
  next: [
    'aws s3 cp FILE s3://BUCKET/KEY',
    'aws ec2 import-snapshot --disk-container "Format=VMDK,UserBucket={S3Bucket=BUCKET,S3Key=KEY}"',
  ],
};
