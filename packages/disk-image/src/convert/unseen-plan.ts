import type { DiskImage } from '../image/disk-image.ts';
import type { TargetLayout, UnitEncoder } from '../image/target.ts';
import type { PlannedConversion } from './plan.ts';
import { takesUnseen } from './unseen-bytes.ts';
import { coarserMap, countDataChunks } from './work-map.ts';

/** What nobody reads needs no place in the processor's cache: larger chunks are less work. */
const UNSEEN_CHUNK_SIZE = 2 * 2 ** 20;
const MAX_FACTOR = 8;

/**
 * The plan for lanes that may copy bytes without looking at them, where that can be: the source stores its bytes as they
 * are, and no target asks for more than where data is; else the plan as it is. Not for a conversion that digests, which
 * must see every byte. Zeros are then left out in units of 64 KiB, not of 4 KiB.
 */
export function unseenPlan(
  planned: PlannedConversion,
  { file }: Pick<DiskImage, 'file'>,
  { encoders, shared }: { readonly encoders: readonly (UnitEncoder | undefined)[]; readonly shared: boolean },
): PlannedConversion {
  const { plan } = planned;
  const asksForMore =
    plan.zeroRule !== undefined ||
    !encoders.every(takesUnseen) ||
    plan.targets.some(({ backing, layout }) => backing !== undefined || filesWithData(layout) !== 1);
  if (asksForMore || file === undefined || plan.source.compressedBytes > 0) return planned;
  const factor = Math.min(MAX_FACTOR, UNSEEN_CHUNK_SIZE / plan.chunkSize);
  const map = factor > 1 ? coarserMap(planned.map, factor, shared) : planned.map;
  const { chunkSize, chunkCount } = map;
  const dataChunks = countDataChunks(map);
  const bytesToRead = Math.min(plan.source.virtualSize, dataChunks * chunkSize);
  return { plan: { ...plan, chunkSize, chunkCount, dataChunks, bytesToRead, unseen: true }, map };
}

function filesWithData({ files }: TargetLayout): number {
  return files.filter((file) => file.guestLength > 0).length;
}
