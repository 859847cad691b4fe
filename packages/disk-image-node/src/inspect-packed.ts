import { stat } from 'node:fs/promises';
import type { Finding, Verdict } from '@diskmorph/disk-image';
import { formats, ImageError, isPackedByNature, withFindings } from '@diskmorph/disk-image';
import type { FileInspection } from './inspect-file.ts';
import { inspectFile } from './inspect-file.ts';
import type { UnwrappedImage, UnwrapRequest } from './unwrap-image.ts';
import { unwrapImage } from './unwrap-image.ts';

/** An inspection of what is inside containers; how they are opened. */
export type PackedInspection = Omit<FileInspection, 'window' | 'scattered'> & { readonly unwrap: UnwrapRequest };

/**
 * The verdict on the image in `filePath`, taken out of its containers when it lies in some: `packed` says which. What can
 * not be taken out is a finding about the container. Leaves nothing behind; throws only `io`, `aborted`, and `out_of_bounds`
 * for an entry that is not there.
 */
export async function inspectPacked(filePath: string, options: PackedInspection): Promise<Verdict> {
  const { unwrap, ...inspection } = options;
  if (isPackedByNature(inspection.declared, formats)) return inspectFile(filePath, inspection);
  let unwrapped: UnwrappedImage;
  try {
    unwrapped = await unwrapImage(filePath, unwrap);
  } catch (error) {
    const finding = containerFinding(error);
    return withFindings(await inspectFile(filePath, inspection), [finding]);
  }
  try {
    return await inspectInside(filePath, unwrapped, inspection);
  } finally {
    await unwrapped.cleanup();
  }
}

async function inspectInside(
  filePath: string,
  { file, wrappers, innerName }: UnwrappedImage,
  inspection: FileInspection,
): Promise<Verdict> {
  if (wrappers.length === 0) return inspectFile(filePath, inspection);
  const { path, ...part } = file;
  const verdict = await inspectFile(path, { ...inspection, ...part, fileName: innerName ?? '' });
  const fromInside = wrappers.toReversed();
  const message = `The file is a ${fromInside.join(' in ')} container; what is said is about the image inside`;
  const packed = {
    wrappers: fromInside,
    ...(innerName === undefined ? {} : { name: innerName }),
    fileSize: (await stat(filePath)).size,
  };
  return { ...withFindings(verdict, [{ code: 'wrapped', severity: 'info', message }]), packed };
}

/** What an error says about the container. Rethrows what is not about it. */
function containerFinding(error: unknown): Finding {
  if (!(error instanceof ImageError) || ['io', 'aborted', 'out_of_bounds'].includes(error.code)) throw error;
  const place = error.offset === undefined ? {} : { offset: error.offset };
  if (error.code === 'unsupported') {
    return { code: 'container-not-opened', severity: 'warning', ...place, message: error.message };
  }
  const message = `The image cannot be taken out of its container (${error.code}): ${error.message}`;
  return { code: 'unreadable-container', severity: 'unsafe', ...place, message };
}
