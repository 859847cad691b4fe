import type { Comparison } from '@diskmorph/disk-image';
import { compareImages } from '@diskmorph/disk-image';
import type { FileWork } from './digest-file.ts';
import { readingWork } from './guest-work.ts';
import type { ImageFile } from './image-file.ts';
import { openForWork } from './image-file.ts';
import { lanesFor } from './lane-count.ts';
import { nodeCodecs } from './native-codecs.ts';
import { compareLanes } from './worker-lanes.ts';

/** Compares the guest bytes of two image files. */
export async function compareFiles(
  firstFile: ImageFile,
  secondFile: ImageFile,
  work: FileWork = {},
): Promise<Comparison> {
  const first = await openForWork(firstFile, work);
  try {
    const second = await openForWork(secondFile, work);
    try {
      const lanes = lanesFor(await readingWork(first, second), work);
      return await compareImages(first, second, {
        lanes: compareLanes(lanes, { first, second, codecs: nodeCodecs() }, { first: firstFile, second: secondFile }),
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
