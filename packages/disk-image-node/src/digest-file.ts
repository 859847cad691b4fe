import type { ContentDigest, DiskImage, ProgressListener, WorkPorts } from '@diskmorph/disk-image';
import { clippedImage, digestImage, verifyContent } from '@diskmorph/disk-image';
import { readingWork } from './guest-work.ts';
import type { ImageFile } from './image-file.ts';
import { openForWork } from './image-file.ts';
import type { LaneChoice } from './lane-count.ts';
import { lanesFor } from './lane-count.ts';
import { nodeCodecs } from './native-codecs.ts';
import { digestLanes } from './worker-lanes.ts';

/** How a long read of a file is done. */
export interface FileWork extends LaneChoice {
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** The content id of an image file. */
export async function digestFile(file: ImageFile, work: FileWork = {}): Promise<ContentDigest> {
  const image = await openForWork(file, work);
  try {
    return await digestImage(image, await workPorts(image, file, work));
  } finally {
    await image.close();
  }
}

/** Reads a written image back and compares it with what its source held. Throws `corrupt` when they differ. */
export async function verifyFile(
  file: ImageFile,
  expected: { readonly contentId: string; readonly virtualSize: number },
  work: FileWork = {},
): Promise<ContentDigest> {
  const image = await openForWork(file, work);
  try {
    const ports = await workPorts(clippedImage(image, Math.min(image.virtualSize, expected.virtualSize)), file, work);
    return await verifyContent(image, expected, ports);
  } finally {
    await image.close();
  }
}

async function workPorts(image: DiskImage, file: ImageFile, work: FileWork): Promise<WorkPorts> {
  const codecs = nodeCodecs();
  const reading = await readingWork(image);
  const lanes = lanesFor({ ...reading, digested: reading.read }, work);
  return {
    codecs,
    shared: true,
    now: () => performance.now(),
    lanes: digestLanes(lanes, { source: image, targets: [], codecs }, file),
    ...(work.onProgress === undefined ? {} : { onProgress: work.onProgress }),
    ...(work.signal === undefined ? {} : { signal: work.signal }),
  };
}
