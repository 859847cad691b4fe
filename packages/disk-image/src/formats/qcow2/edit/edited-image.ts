import { ImageError } from '../../../errors.ts';
import type { WritableImageFile } from '../../../image/editor.ts';
import { checkQcow2 } from '../check.ts';
import { faultError } from '../fault.ts';
import type { HeaderCluster } from '../header.ts';
import { INCOMPATIBLE, readHeader } from '../header.ts';
import type { Metadata } from '../metadata.ts';
import { readMetadata } from '../metadata.ts';
import { qcow2Error } from '../qcow2-error.ts';

/** An image that may be changed: every structure is understood and nothing in it is known to be wrong. */
export interface EditedImage {
  readonly file: WritableImageFile;
  readonly cluster: HeaderCluster;
  readonly metadata: Metadata;
  readonly allocation: AllocationHints;
}

/** Where to look for free clusters; grows from change to change. */
export interface AllocationHints {
  /** True when a refcount of 0 surely means free, so that space may be given back. */
  readonly trusted: boolean;
  /** No single cluster below is free. */
  single: number;
  /** Runs of clusters are looked for from here on. */
  run: number;
}

/** What a change can live with. */
export interface ChangeTerms {
  /** Whether guest data may lie in another file. */
  readonly externalData: 'allowed' | 'refused';
  /** Mends a dirty image. */
  readonly repair: (file: WritableImageFile) => Promise<void>;
}

/**
 * Reads and checks the image. A dirty one is repaired first, as opening it for writing must. Throws the first fault of
 * `readMetadata` (unknown features, encryption), `corrupt` for an image that is marked so or has corruptions,
 * `unsupported` for external data where the change cannot do it.
 */
export async function openForChange(file: WritableImageFile, terms: ChangeTerms): Promise<EditedImage> {
  const image = await readEdited(file);
  refuseMarked(image.metadata, terms);
  const isDirty = (image.metadata.header.incompatibleFeatures & INCOMPATIBLE.dirty) !== 0n;
  if (isDirty) {
    await terms.repair(file);
    return openForChange(file, terms);
  }
  const trusted = await refcountsAreRight(file);
  const end = Math.ceil(file.source.size / image.metadata.geometry.clusterSize);
  return { ...image, allocation: { trusted, single: trusted ? 1 : end, run: trusted ? 1 : end } };
}

/** The image as it is, without any check but that its metadata can be read. */
export async function readEdited(file: WritableImageFile): Promise<EditedImage> {
  const cluster = await readHeader(file.source);
  const metadata = await readMetadata(file.source);
  const fault = metadata.faults[0];
  if (fault !== undefined) throw faultError(fault);
  const end = Math.ceil(file.source.size / metadata.geometry.clusterSize);
  return { file, cluster, metadata, allocation: { trusted: false, single: end, run: end } };
}

function refuseMarked(metadata: Metadata, terms: ChangeTerms): void {
  const { header, geometry } = metadata;
  if ((header.incompatibleFeatures & INCOMPATIBLE.corrupt) !== 0n) {
    throw qcow2Error('corrupt', 'The image is marked as corrupt and is not changed; repair it first', {
      structure: 'header',
      offset: 72,
    });
  }
  if (geometry.externalData && terms.externalData === 'refused') {
    throw qcow2Error('unsupported', 'The guest data lies in another file; such an image cannot be changed this way', {
      structure: 'header',
      offset: 72,
    });
  }
}

/** False when the image is too large to be checked in bounded memory. Throws `corrupt` when there is a corruption. */
async function refcountsAreRight(file: WritableImageFile): Promise<boolean> {
  try {
    const report = await checkQcow2(file.source);
    if (report.corruptions === 0) return true;
    const first = report.findings.find((finding) => finding.severity === 'unsafe');
    throw qcow2Error('corrupt', `The image has corruptions and is not changed: ${first?.message ?? ''}`, {
      structure: 'image',
      ...(first?.offset === undefined ? {} : { offset: first.offset }),
    });
  } catch (error) {
    if (error instanceof ImageError && error.code === 'unsupported') return false;
    throw error;
  }
}
