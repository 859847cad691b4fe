import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { BaseChunk } from './base-chunk.ts';
import { baseChunk } from './base-chunk.ts';
import type { ChunkPlacer } from './chunk-placer.ts';
import { chunkPlacer } from './chunk-placer.ts';
import { chunkHeight, contentTree, LEAF_SIZE } from './content-id.ts';
import type { DirectBytes } from './direct-bytes.ts';
import { directBytes } from './direct-bytes.ts';
import type { LaneJob, LanePorts } from './lane.ts';
import type { TakenChunk } from './lane-control.ts';
import type { StoredAhead } from './stored-ahead.ts';
import { readRanges } from './unit-walk.ts';
import { dataParts } from './work-map.ts';
import type { ByteRange, ZeroBlocks } from './zero-blocks.ts';
import { ZERO_BLOCK_SIZE, zeroBlocks } from './zero-blocks.ts';
import type { ZeroRule } from './zero-rule.ts';
import { zeroRuns } from './zero-rule.ts';

/** One chunk in the hands of a lane: its buffers are reused for chunk after chunk. */
export interface ChunkSlot {
  readonly guest: Uint8Array;
  readonly zeros: ZeroBlocks;
  readonly bases: readonly BaseChunk[];
  /** Undefined when every byte is read and written. */
  readonly direct: DirectBytes | undefined;
  /** Shared by all slots of a lane. */
  readonly ahead: StoredAhead;
  /** One for each target. */
  readonly placers: readonly ChunkPlacer[];
}

/** A chunk that is ready to be placed. */
export interface PreparedChunk {
  readonly taken: TakenChunk;
  readonly slot: ChunkSlot;
  readonly digest: Uint8Array | undefined;
  readonly dataBytes: number;
}

/** Room for one chunk at a time. All slots of a lane ask the same `ahead`. */
export function chunkSlot(job: LaneJob, ports: LanePorts, ahead: StoredAhead): ChunkSlot {
  const guest = new Uint8Array(job.map.chunkSize);
  const zeroUnit = job.zeroRule === undefined ? ZERO_BLOCK_SIZE : zeroRuns(job.zeroRule).unit;
  const blockSize = Math.min(ZERO_BLOCK_SIZE, zeroUnit, ...job.layouts.map((layout) => layout.unitSize));
  const zeros = zeroBlocks(guest, blockSize, ports.codecs);
  const direct = directBytes(job, ports, { guest, ahead });
  const bases: BaseChunk[] = [];
  const placers = job.layouts.map((layout, index) => {
    const target = ports.targets[index];
    assert(target !== undefined, 'every layout has its target');
    assert((target.base === undefined) === (layout.overlay === undefined), 'an overlay has what it stands on');
    const base = target.base === undefined ? undefined : baseChunk(target.base, guest);
    if (base !== undefined) bases.push(base);
    return chunkPlacer({ layout, encoder: target.encoder, sinks: target.sinks, guest, zeros, base, direct });
  });
  return { guest, zeros, bases, direct, ahead, placers };
}

/** Reads the next chunk into its room, finds zeros, digests and encodes. */
export async function prepareChunk(
  job: LaneJob,
  ports: LanePorts,
  work: { readonly taken: TakenChunk; readonly slot: ChunkSlot; readonly signal: AbortSignal | undefined },
): Promise<PreparedChunk> {
  const { taken, slot, signal } = work;
  const offset = taken.chunk * job.map.chunkSize;
  const length = Math.min(job.map.chunkSize, job.virtualSize - offset);
  if (slot.direct === undefined) {
    const ranges = dataParts(job.map, taken.chunk, length);
    if (job.readAhead === true) await slot.ahead.readAhead(offset);
    await readRanges(ports.source, { offset, into: slot.guest, ranges }, signal);
    slot.zeros.scan(length, ranges);
  } else {
    const { seen, unseen } = await slot.direct.load({ index: taken.chunk, offset, length }, signal);
    slot.zeros.scan(length, seen);
    slot.zeros.countAsData(unseen);
  }
  const digest = job.digest ? chunkDigest(job, slot, ports.codecs) : undefined;
  let dataBytes = 0;
  for (const range of slot.zeros.dataRanges()) dataBytes += range.end - range.start;
  if (job.zeroRule !== undefined) await keepZeros(slot.zeros, job.zeroRule, { source: ports.source, offset, length });
  for (const base of slot.bases) await base.load(offset, signal);
  for (const placer of slot.placers) placer.encode(offset, length);
  return { taken, slot, digest, dataBytes };
}

/** Lets zeros that the rule does not leave out count as data. */
async function keepZeros(
  zeros: ZeroBlocks,
  rule: ZeroRule,
  chunk: { readonly source: DiskImage; readonly offset: number; readonly length: number },
): Promise<void> {
  if (rule.least === 0) {
    zeros.keepAll();
    return;
  }
  const stored: ByteRange[] = [];
  for await (const extent of chunk.source.extents(chunk)) {
    const start = extent.offset - chunk.offset;
    if (extent.state === 'data') stored.push({ start, end: start + extent.length });
  }
  zeros.keepShortRuns(zeroRuns(rule), stored);
}

function chunkDigest(job: LaneJob, slot: ChunkSlot, codecs: Codecs): Uint8Array | undefined {
  if (!slot.zeros.hasData(0, slot.guest.length)) return undefined;
  const tree = contentTree(codecs);
  const leaves: Uint8Array[] = [];
  const end = LEAF_SIZE * 2 ** chunkHeight(job.virtualSize, job.map.chunkSize);
  for (let start = 0; start < end; start += LEAF_SIZE) {
    const hasData = slot.zeros.hasData(start, start + LEAF_SIZE);
    leaves.push(hasData ? tree.leaf(slot.guest.subarray(start, start + LEAF_SIZE)) : tree.zeros(0));
  }
  return tree.subtree(leaves);
}
