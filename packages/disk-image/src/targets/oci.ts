import { diskLargerThan, otherFormatThan, unpartitioned } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { unencrypted, unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const GB: number = 10 ** 9;

const FORMATS = 'https://docs.oracle.com/pt-br/iaas/Content/Compute/Tasks/imageimportexport.htm';
const LIMITS = 'https://docs.oracle.com/pls/topic/lookup?ctx=en%2Fsolutions%2Fopc-import-workloads&id=byoi-intro';
/** The requirements for Linux images in full, on the page of the same service in one's own house. */
const LINUX =
  'https://docs.oracle.com/en/engineered-systems/private-cloud-appliance/3.0-latest/concept/concept-byoi.html';

/** Oracle Cloud Infrastructure: custom images. */
export const oci: TargetProfile = {
  name: 'oci',
  title: 'Oracle Cloud Infrastructure',
  output: { format: 'qcow2', options: {}, extension: 'qcow2' },
  rules: [
    unpacked([FORMATS], 'tar'),
    ...WHOLE_IMAGE,
    unencrypted([LINUX]),
    {
      id: 'oci-format',
      severity: 'refusal',
      about: 'file',
      sentence: 'Oracle imports QCOW2, and VMDK of one file: monolithicSparse or streamOptimized.',
      mend: 'diskmorph convert --for oci FILE DISK.qcow2',
      sources: [FORMATS, LINUX],
      breach: otherFormatThan(
        { format: 'qcow2' },
        { format: 'vmdk', subformats: ['monolithicSparse', 'streamOptimized'] },
      ),
    },
    {
      id: 'oci-largest',
      severity: 'warning',
      about: 'disk',
      sentence: 'An image has at most 400 GB; whether of the disk or of the file is not said.',
      mend: 'Make the disk of the system smaller; move data to volumes of their own.',
      sources: [LIMITS, LINUX],
      breach: diskLargerThan(400 * GB),
    },
    {
      id: 'oci-partitioned',
      severity: 'warning',
      about: 'disk',
      sentence: 'The disk must boot: a valid master boot record and a boot loader.',
      mend: 'Make sure that the disk boots without another one beside it.',
      sources: [LINUX],
      breach: unpartitioned,
    },
  ],
  unchecked: ['whether the boot loader finds its volume by LVM or UUID', 'drivers for virtio devices in the guest'],
  next: [
    'oci os object put --bucket-name BUCKET --name NAME --file FILE',
    'oci compute image import from-object --bucket-name BUCKET --name NAME --namespace NAMESPACE --compartment-id ID --source-image-type QCOW2',
  ],
};
