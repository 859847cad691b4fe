import type { ByteSource, Extent, GuestRange } from '@diskmorph/disk-image';
import { alignUp, extentsWithHoles } from '@diskmorph/disk-image';
import { referencedPath } from './image-source.ts';
import type { Layer } from './layers.ts';
import { openSparseFile } from './sparse-file.ts';

/** What qemu-img says about a run of guest bytes. */
export interface BlockStatus {
  readonly start: number;
  readonly length: number;
  /** 0 for the image itself, 1 for its backing image, and so on. */
  readonly depth: number;
  /** Some image of the chain says what the bytes are. */
  readonly present: boolean;
  readonly zero: boolean;
  /** They are stored, or space is kept for them. */
  readonly data: boolean;
  /** Where they lie in `file`, when they lie there as they are. */
  readonly offset: number | undefined;
  readonly file: string | undefined;
}

/** Formats that leave nothing to a backing image. */
const ALWAYS_PRESENT: ReadonlySet<string> = new Set(['raw', 'vpc', 'vdi', 'vhdx', 'dmg', 'cloop', 'bochs', 'luks']);
/** Formats whose map qemu-img 7.2 does not read: the whole disk is data somewhere. */
const WITHOUT_MAP: ReadonlySet<string> = new Set(['vhdx', 'dmg', 'cloop', 'bochs', 'luks']);
/** Formats in which a hole of the file still counts as stored data. */
const HOLES_ARE_DATA: ReadonlySet<string> = new Set(['vmdk', 'vpc', 'vdi']);
/** Subformats of those formats in which blocks are allocated as needed. */
const GROWING: ReadonlySet<string> = new Set(['dynamic', 'differencing', 'diff']);
const SECTOR_SIZE = 512;

/** Bytes of the guest disk as qemu-img counts them: whole sectors. */
export function countedSize(layers: readonly Layer[]): number {
  return alignUp(layers[0]?.disk.virtualSize ?? 0, SECTOR_SIZE);
}

/** A layer, and its file where holes of the file are zeros of the guest. */
interface LookedAtLayer extends Layer {
  readonly sparseFile: ByteSource | undefined;
}

/** The status of every byte in the range in order, neighbours of one kind together. */
export async function* blockStatus(layers: readonly Layer[], range: GuestRange): AsyncGenerator<BlockStatus> {
  const looked: LookedAtLayer[] = [];
  try {
    for (const layer of layers) looked.push({ ...layer, sparseFile: await openSparseFile(layer) });
    yield* joinedStatus(layerStatus(looked, 0, range));
  } finally {
    await Promise.all(looked.map(({ sparseFile }) => sparseFile?.close()));
  }
}

async function* joinedStatus(statuses: AsyncIterable<BlockStatus>): AsyncGenerator<BlockStatus> {
  let pending: BlockStatus | undefined;
  for await (const status of statuses) {
    if (pending !== undefined && continues(pending, status)) {
      pending = { ...pending, length: pending.length + status.length };
      continue;
    }
    if (pending !== undefined) yield pending;
    pending = status;
  }
  if (pending !== undefined) yield pending;
}

function continues(first: BlockStatus, second: BlockStatus): boolean {
  const alike =
    first.depth === second.depth &&
    first.present === second.present &&
    first.zero === second.zero &&
    first.data === second.data &&
    first.file === second.file;
  if (!alike || (first.offset === undefined) !== (second.offset === undefined)) return false;
  return first.offset === undefined || first.offset + first.length === second.offset;
}

async function* layerStatus(
  layers: readonly LookedAtLayer[],
  depth: number,
  range: GuestRange,
): AsyncGenerator<BlockStatus> {
  const layer = layers[depth];
  if (layer === undefined) return;
  for await (const extent of layerExtents(layer, range)) {
    const below = extent.state === 'absent' ? layers[depth + 1] : undefined;
    if (below === undefined) yield statusOf(layer, depth, extent);
    else {
      const inside = Math.max(0, Math.min(extent.length, alignUp(below.disk.virtualSize, SECTOR_SIZE) - extent.offset));
      if (inside > 0) yield* layerStatus(layers, depth + 1, { offset: extent.offset, length: inside });
      if (inside < extent.length) {
        yield statusOf(layer, depth, withoutStart(extent, inside));
      }
    }
  }
}

function withoutStart(extent: FoundExtent, length: number): FoundExtent {
  const rest = { ...extent, offset: extent.offset + length, length: extent.length - length };
  return extent.hostOffset === undefined ? rest : { ...rest, hostOffset: extent.hostOffset + length };
}

/** An extent, and whether it is stored data that a hole of the file stands for. */
interface FoundExtent extends Extent {
  readonly isHole?: boolean;
}

async function* layerExtents(layer: LookedAtLayer, range: GuestRange): AsyncGenerator<FoundExtent> {
  const { disk, driver, image, sparseFile } = layer;
  if (WITHOUT_MAP.has(driver)) {
    yield { ...range, state: 'data', compressed: false };
    return;
  }
  const end = range.offset + range.length;
  const diskEnd = Math.min(end, disk.virtualSize);
  const base = image.location.window?.offset ?? 0;
  if (range.offset < diskEnd) {
    for await (const extent of disk.extents({ offset: range.offset, length: diskEnd - range.offset })) {
      const moved =
        base === 0 || extent.hostOffset === undefined ? extent : { ...extent, hostOffset: extent.hostOffset + base };
      if (sparseFile === undefined) yield { ...moved, isHole: isHole(moved, driver) };
      else yield* withHoles(moved, sparseFile);
    }
  }
  // The rest of the last sector of a raw file.
  const rest = Math.max(range.offset, diskEnd);
  if (rest < end) {
    yield { offset: rest, length: end - rest, state: 'zero', compressed: false, hostOffset: rest + base };
  }
}

function isHole({ state, hostOffset }: Extent, driver: string): boolean {
  return state === 'zero' && hostOffset !== undefined && HOLES_ARE_DATA.has(driver);
}

async function* withHoles(extent: Extent, file: ByteSource): AsyncGenerator<FoundExtent> {
  for await (const part of extentsWithHoles(file, [extent])) {
    yield { ...part, isHole: extent.state === 'data' && part.state === 'zero' };
  }
}

function statusOf({ driver, image, disk }: Layer, depth: number, extent: FoundExtent): BlockStatus {
  const present = extent.state !== 'absent' || ALWAYS_PRESENT.has(driver);
  const isData = extent.state === 'data' || extent.isHole === true;
  // Inside an allocated block, holes of the file are not looked for.
  const zero = extent.state !== 'data' && !(isData && GROWING.has(disk.info.subformat ?? ''));
  const { path } = image.location;
  const file = extent.hostFile === undefined ? path : referencedPath(path, extent.hostFile);
  return {
    start: extent.offset,
    length: extent.length,
    depth,
    present,
    zero,
    data: isData,
    offset: extent.hostOffset,
    file: extent.hostOffset === undefined ? undefined : file,
  };
}
