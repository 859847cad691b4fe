import { dataRanges } from '../bytes/data-ranges.ts';
import { ImageError } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import { storedRanges } from '../image/file-holes.ts';
import type { Finding } from '../image/finding.ts';
import type { BoundedSource } from './bounded-source.ts';
import type { InspectLimits } from './limits.ts';

const SAMPLE_WINDOWS = 16;
const SAMPLE_WINDOW_SIZE = 16 * 2 ** 20;
/** A map cut into smaller pieces than this allows is sampled in part. */
const MAX_EXTENTS_PER_WINDOW = 2048;

/** `size-bomb-virtual`: a guest disk above the cap, or out of all proportion to its file. */
export function virtualSizeFindings(virtualSize: number, fileSize: number, limits: InspectLimits): readonly Finding[] {
  if (virtualSize > limits.maxVirtualSize) {
    const message = `The disk claims ${virtualSize} bytes; at most ${limits.maxVirtualSize} are accepted`;
    return [{ code: 'size-bomb-virtual', severity: 'unsafe', message }];
  }
  if (virtualSize < limits.minBombSize || virtualSize <= fileSize * limits.maxVirtualRatio) return [];
  const message = `The disk of ${virtualSize} bytes is more than ${limits.maxVirtualRatio} times as large as its file of ${fileSize}`;
  return [{ code: 'size-bomb-virtual', severity: 'warning', message }];
}

/**
 * `size-bomb-ratio`: more guest bytes are said to be stored in the file than a compressor could have put there. Looks at
 * the map of windows spread over the disk, so it is an estimate; stops early when the read budget is spent.
 */
export async function dataRatioFindings(
  disk: DiskImage,
  source: BoundedSource,
  limits: InspectLimits,
): Promise<readonly Finding[]> {
  if (disk.virtualSize < Math.min(limits.minBombSize, limits.minDataBombSize) || source.size === 0) return [];
  const stored = (await sampledDataShare(disk, source)) * disk.virtualSize;
  const fileBytes = storedBytes(source);
  const ratio = stored / Math.max(1, fileBytes);
  const isBomb = ratio > limits.maxDataRatio && stored >= limits.minDataBombSize;
  if (!isBomb && (ratio <= limits.warnDataRatio || stored < limits.minBombSize)) return [];
  const message = `About ${Math.round(stored)} guest bytes are said to be stored in ${fileBytes} bytes of file, ${Math.round(ratio)} times as much`;
  return [{ code: 'size-bomb-ratio', severity: isBomb ? 'unsafe' : 'warning', message }];
}

/** Ranges of data that are added up; a file cut into more pieces is taken to store all its bytes behind them. */
const MAX_RANGES = 4096;

/** Bytes of the file that lie in no hole. */
function storedBytes(source: BoundedSource): number {
  let bytes = 0;
  let count = 0;
  for (const { start, end } of dataRanges(source, 0, source.size)) {
    if (++count > MAX_RANGES) return bytes + source.size - start;
    bytes += end - start;
  }
  return bytes;
}

async function sampledDataShare(disk: DiskImage, source: BoundedSource): Promise<number> {
  const length = Math.min(SAMPLE_WINDOW_SIZE, Math.floor(disk.virtualSize / SAMPLE_WINDOWS));
  const storedOf = storedRanges(disk);
  let seen = 0;
  let data = 0;
  try {
    for (let i = 0; i < SAMPLE_WINDOWS; i++) {
      const offset = Math.floor(((disk.virtualSize - length) / (SAMPLE_WINDOWS - 1)) * i);
      let extents = 0;
      for await (const extent of disk.extents({ offset, length })) {
        seen += extent.length;
        if (extent.state === 'data') for (const stored of storedOf(extent)) data += stored.length;
        if (++extents >= MAX_EXTENTS_PER_WINDOW) break;
      }
    }
  } catch (error) {
    if (!(error instanceof ImageError) || !source.exhausted) throw error;
  }
  return seen === 0 ? 0 : data / seen;
}
