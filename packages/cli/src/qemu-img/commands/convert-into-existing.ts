import { alignUp } from '@diskmorph/disk-image';
import type { DiskImage, Format, GivenOptions, ImageInfo } from '@diskmorph/disk-image';
import type { ImageFile } from '@diskmorph/disk-image-node';
import { nodeCodecs, openImageFile, planFileConversion } from '@diskmorph/disk-image-node';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { imageFile, openGuestDisk, openLocation } from '../image/image-source.ts';
import { fromName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import type { ProgressText } from '../text/progress.ts';
import { checkRoomForBitmaps, copyBitmaps } from './convert-bitmaps.ts';
import type { ConvertJob } from './convert.ts';
import { convertIntoNew, settleTarget } from './convert-into-new.ts';
import type { CopyRequest } from './copy-guest.ts';
import { copyGuest } from './copy-guest.ts';
import { withGuestWriter } from './guest-writer.ts';

const SECTOR_SIZE = 512;

/**
 * `convert -n`: the guest bytes go into an image or device that is there; its size stays, and so does what it holds
 * behind the end of the source. A format that is not changed in place gets a new image of the same kind instead of the
 * old one.
 */
export async function convertIntoExisting(job: ConvertJob, progress: ProgressText): Promise<void> {
  const { line, format, target, targetPath } = job;
  const image: KnownImage = { location: { ...fromName(targetPath), given: target, format: format.name }, format };
  const source = await openImageFile(job.source);
  try {
    const existing = await openGuestDisk(image);
    await existing.close();
    if (line.has('target-is-zero') && existing.info.backing !== undefined) {
      throw new Failure('Cannot use --target-is-zero when the destination image has a backing file');
    }
    if (existing.virtualSize < source.virtualSize) throw new Failure('output file is smaller than input file');
    const isInPlace = format.name === 'raw' || format.editor?.openGuest !== undefined;
    if (isInPlace) await writeInPlace(job, { image, source, existing: existing.info }, progress);
    else await makeAnew(job, { image, source, existing: existing.info }, progress);
  } finally {
    await source.close();
  }
}

interface ExistingTarget {
  readonly image: KnownImage;
  readonly source: DiskImage;
  readonly existing: ImageInfo;
}

async function writeInPlace(job: ConvertJob, to: ExistingTarget, progress: ProgressText): Promise<void> {
  const { line, bitmaps, zeroRule } = job;
  const { image, source, existing } = to;
  if (bitmaps !== undefined) checkRoomForBitmaps(bitmaps, image, existing);
  const request: Omit<CopyRequest, 'target' | 'unitSize'> = {
    source,
    targetIsZero: line.has('target-is-zero'),
    ...(zeroRule === undefined ? {} : { zeroBlockSize: zeroRule.least }),
    isZero: (bytes) => nodeCodecs().isZero(bytes),
    onPercent: (percent) => progress.update(percent),
  };
  const { location, format } = image;
  if (format.name === 'raw') {
    await withWritableFile(location.path, location.given, async ({ sink }) => {
      await copyGuest({ ...request, target: sink, unitSize: 1 });
      await sink.flush();
    });
    return;
  }
  await withGuestWriter(image, async (writer) => {
    await copyGuest({ ...request, target: writer, unitSize: writer.unitSize });
  });
  if (bitmaps !== undefined) await copyBitmaps(bitmaps, { path: location.path, format, state: 'existing' });
}

/** A whole new image takes the place of the old one when it is finished; a kill before that leaves the old one. */
async function makeAnew(job: ConvertJob, to: ExistingTarget, progress: ProgressText): Promise<void> {
  const { format, target } = job;
  const refuse = (why: string): Failure =>
    new Failure(`${target}: error while converting ${qemuName(format.name)}: ${why}`);
  const { path, before } = await settleTarget(job.targetPath, `${target}:`);
  if (before?.isBlockDevice() === true) {
    throw refuse('such an image on a block device is not changed in place; leave out -n to replace it');
  }
  const options = await likenessOf(format, to.image);
  const source = withRest(job.source, { ...to, size: to.source.virtualSize });
  const plan = await planFileConversion({ source, target: { path, format: format.name, options } });
  const names = new Set(plan.layout.files.map(({ name }) => name));
  const left = to.existing.references.find(({ name }) => !names.has(name));
  if (left !== undefined) throw refuse(`the image has a part '${left.name}' that a new one would not have`);
  if (plan.layout.virtualSize !== to.existing.virtualSize) {
    throw refuse(`a new image would have ${plan.layout.virtualSize} bytes instead of ${to.existing.virtualSize}`);
  }
  const request = { ...job.request, options, allocateFile: 'no' as const };
  await convertIntoNew({ ...job, source, request }, (percent) => progress.update(percent));
}

async function likenessOf(format: Format, { location }: KnownImage): Promise<GivenOptions> {
  const likeness = format.writer?.likeness;
  if (likeness === undefined) throw new Error('assertion failed: what is not changed in place can be made anew');
  const source = openLocation(location);
  try {
    return await likeness(source);
  } finally {
    await source.close();
  }
}

/** The source, followed by what the existing image holds behind it. */
function withRest(
  source: ImageFile,
  to: Pick<ExistingTarget, 'image' | 'existing'> & { readonly size: number },
): ImageFile {
  const offset = alignUp(to.size, SECTOR_SIZE);
  const size = to.existing.virtualSize - offset;
  if (size <= 0) return source;
  const rest = { ...imageFile(to.image), part: { offset, size } };
  return { ...source, followedBy: [...(source.followedBy ?? []), rest] };
}
