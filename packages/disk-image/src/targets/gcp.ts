import { notMultipleOf, notPackedAs, otherFormatThan, otherNameThan, unpartitioned } from './breach.ts';
import type { TargetProfile } from './profile.ts';
import { WHOLE_IMAGE } from './shared-rules.ts';

const GIB: number = 2 ** 30;

const IMAGES = 'https://cloud.google.com/solutions/image-management-best-practices';
const WHOLE_GIB_THREADS: readonly string[] = [
  'https://github.com/osbuild/image-builder/issues/2413',
  'https://github.com/rancher/elemental-toolkit/pull/406',
];

/** Google Compute Engine: custom images. */
export const gcp: TargetProfile = {
  name: 'gcp',
  title: 'Google Compute Engine',
  output: { format: 'raw', options: {}, sizeMultiple: GIB, packing: 'tar-gz', extension: 'tar.gz' },
  rules: [
    {
      id: 'gcp-packed',
      severity: 'refusal',
      about: 'packing',
      sentence: 'Compute Engine takes a gzip-compressed tar (old GNU format) that holds the disk as disk.raw.',
      mend: 'diskmorph convert --for gcp FILE NAME.tar.gz; or by hand: tar --format=oldgnu -Sczf NAME.tar.gz disk.raw',
      sources: [IMAGES, 'https://github.com/rancher/elemental-toolkit/pull/406'],
      breach: notPackedAs('tar in gz'),
    },
    {
      id: 'gcp-disk-raw',
      severity: 'refusal',
      about: 'packing',
      sentence: 'The file in the archive must be called disk.raw.',
      mend: 'diskmorph convert --for gcp FILE NAME.tar.gz',
      sources: [IMAGES],
      breach: otherNameThan('disk.raw'),
    },
    ...WHOLE_IMAGE,
    {
      id: 'gcp-raw',
      severity: 'refusal',
      about: 'file',
      sentence: 'The file in the archive must be the bytes of the disk, without an image format.',
      mend: 'diskmorph convert --for gcp FILE NAME.tar.gz',
      sources: [IMAGES],
      breach: otherFormatThan({ format: 'raw' }),
    },
    {
      id: 'gcp-whole-gib',
      severity: 'refusal',
      about: 'file',
      sentence: 'The disk must be a whole number of GiB.',
      mend: 'diskmorph convert --for gcp FILE NAME.tar.gz adds zeros up to the next GiB.',
      sources: WHOLE_GIB_THREADS,
      breach: notMultipleOf(GIB),
    },
    {
      id: 'gcp-partitioned',
      severity: 'warning',
      about: 'disk',
      sentence: 'An image that is to boot needs a partition table, MBR or GPT, and a bootable partition.',
      mend: 'Make sure that the disk is meant for data alone.',
      sources: [IMAGES],
      breach: unpartitioned,
    },
  ],
  unchecked: ["drivers for Compute Engine's devices in the guest"],
  next: [
    'gcloud storage cp FILE gs://BUCKET/NAME.tar.gz',
    'gcloud compute images create NAME --source-uri gs://BUCKET/NAME.tar.gz',
  ],
};
