import type { Comparison } from '@diskmorph/disk-image';
import { compareImages, inlineCompareLanes } from '@diskmorph/disk-image';
import type { FileWork } from './digest-file.ts';
import { dataBytes } from './digest-file.ts';
import type { ImageFile } from './image-file.ts';
import { openImageFile } from './image-file.ts';
import { laneCount } from './lane-count.ts';
import { compareLanes } from './worker-lanes.ts';

/** Compares the guest bytes of two image files. */
export async function compareFiles(
  firstFile: ImageFile,
  secondFile: ImageFile,
  work: FileWork = {},
): Promise<Comparison> {
  const first = await openImageFile(firstFile);
  try {
    const second = await openImageFile(secondFile);
    try {
      const count = laneCount((await dataBytes(first)) + (await dataBytes(second)), work.workers);
      return await compareImages(first, second, {
        lanes: count === 0 ? inlineCompareLanes({ first, second }) : compareLanes(count, firstFile, secondFile),
        shared: true,
        now: () => performance.now(),
        ...(work.onProgress === undefined ? {} : { onProgress: work.onProgress }),
        ...(work.signal === undefined ? {} : { signal: work.signal }),
      });
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}
