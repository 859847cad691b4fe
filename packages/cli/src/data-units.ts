import type { DiskImage } from '@diskmorph/disk-image';

/** How many units of `unitSize` guest bytes hold stored data, counting each once. Reads tables only. */
export async function countDataUnits(image: DiskImage, unitSize: number, signal: AbortSignal): Promise<number> {
  let count = 0;
  let counted = -1;
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
    signal.throwIfAborted();
    if (extent.state !== 'data') continue;
    const first = Math.max(counted + 1, Math.floor(extent.offset / unitSize));
    const last = Math.floor((extent.offset + extent.length - 1) / unitSize);
    count += Math.max(0, last - first + 1);
    counted = Math.max(counted, last);
  }
  return count;
}
