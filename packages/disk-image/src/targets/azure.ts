import { diskLargerThan, diskSmallerThan, notMultipleOf, otherFormatThan } from './breach.ts';
import type { Candidate } from './candidate.ts';
import type { TargetProfile } from './profile.ts';
import { unpacked, WHOLE_IMAGE } from './shared-rules.ts';

const MIB: number = 2 ** 20;
const TIB: number = 2 ** 40;
/** The footer of a fixed VHD. */
const FOOTER_BYTES = 512;

const ABOUT_VHDS = 'https://msdn.microsoft.com/en-us/library/azure/dn790344(v=azure.100)';
const SIZE_THREADS: readonly string[] = [
  'https://github.com/microsoft/AzureStorageExplorer/issues/3029',
  'https://github.com/MicrosoftDocs/azure-docs/pull/5148',
  'https://github.com/osbuild/osbuild-composer/issues/111',
];

function otherwiseFilled({ format, subformat, virtualSize, fileSize }: Candidate): string | undefined {
  if (format !== 'vhd' || subformat !== 'fixed' || virtualSize === undefined) return undefined;
  if (fileSize === virtualSize + FOOTER_BYTES) return undefined;
  return `is a file of ${fileSize} bytes; its disk and footer make ${virtualSize + FOOTER_BYTES}`;
}

/** Microsoft Azure: page blobs and managed disks. */
export const azure: TargetProfile = {
  name: 'azure',
  title: 'Microsoft Azure',
  output: { format: 'vhd', options: { azure: 'on' }, sizeMultiple: MIB, extension: 'vhd' },
  rules: [
    unpacked([ABOUT_VHDS]),
    ...WHOLE_IMAGE,
    {
      id: 'azure-fixed-vhd',
      severity: 'refusal',
      about: 'file',
      sentence: 'Azure takes VHD files of the fixed kind, and no VHDX.',
      mend: 'diskmorph convert --for azure FILE DISK.vhd',
      sources: [ABOUT_VHDS, 'https://github.com/MicrosoftDocs/azure-docs/issues/17110'],
      breach: otherFormatThan({ format: 'vhd', subformats: ['fixed'] }),
    },
    {
      id: 'azure-whole-mib',
      severity: 'refusal',
      about: 'file',
      sentence: 'The virtual size must be a whole number of MiB, not rounded to a disk geometry.',
      mend: 'diskmorph convert --for azure FILE DISK.vhd adds zeros up to the next MiB.',
      sources: [...SIZE_THREADS, 'https://github.com/qemu/qemu/commit/fb9245c2610932d33ce148b58714fcc7b3c6eb5f'],
      breach: notMultipleOf(MIB),
    },
    {
      id: 'azure-file-size',
      severity: 'refusal',
      about: 'file',
      sentence: 'The file must be the disk and a footer of 512 bytes, nothing more and nothing less.',
      mend: 'diskmorph convert --for azure FILE DISK.vhd writes it anew.',
      sources: SIZE_THREADS,
      breach: otherwiseFilled,
    },
    {
      id: 'azure-largest',
      severity: 'refusal',
      about: 'disk',
      sentence: 'A disk has at most 32 TiB.',
      mend: 'Divide the data over several disks.',
      sources: SIZE_THREADS,
      breach: diskLargerThan(32 * TIB),
    },
    {
      id: 'azure-smallest',
      severity: 'refusal',
      about: 'disk',
      sentence: 'A disk has at least 20 MiB.',
      mend: 'Enlarge the disk where it was made.',
      sources: SIZE_THREADS,
      breach: diskSmallerThan(20 * MIB),
    },
  ],
  unchecked: ['drivers for Hyper-V and the Azure agent in the guest'],
  next: ['azcopy copy FILE "https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME.vhd?TOKEN" --blob-type PageBlob'],
};
