import type { ByteSink } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { PlacedRun, TargetLayout, UnitEncoder } from '../image/target.ts';
import { chunkHeight, contentTree, LEAF_SIZE } from './content-id.ts';
import type { LaneControl, PlacementCursor, TakenChunk } from './lane-control.ts';
import type { BaseChunk } from './base-chunk.ts';
import { baseChunk } from './base-chunk.ts';
import type { ChunkPlacer } from './chunk-placer.ts';
import { chunkPlacer } from './chunk-placer.ts';
import { ZERO_BLOCK_SIZE, zeroBlocks } from './zero-blocks.ts';
import type { ByteRange, ZeroBlocks } from './zero-blocks.ts';
import type { ZeroRule } from './zero-rule.ts';
import { zeroRuns } from './zero-rule.ts';
import type { WorkMap } from './work-map.ts';
import { dataParts } from './work-map.ts';
import { readRanges } from './unit-walk.ts';

/** What one job is, the same for all its lanes; plain data that threads can be given. */
export interface LaneJob {
  /** Bytes of guest disk in the source. */
  readonly virtualSize: number;
  readonly map: WorkMap;
  /** The memory of the job's `LaneControl`. */
  readonly control: SharedArrayBuffer | ArrayBuffer;
  readonly digest: boolean;
  /** Where the bytes go: every target gets them from one read. None when the job only digests. */
  readonly layouts: readonly TargetLayout[];
  /** Which zeros are left out of the targets; blocks of `ZERO_BLOCK_SIZE` when absent. */
  readonly zeroRule?: ZeroRule;
}

/** What one lane works with; each lane has its own. */
export interface LanePorts {
  readonly source: DiskImage;
  /** One for each layout of the job. */
  readonly targets: readonly LaneTarget[];
  readonly codecs: Codecs;
  readonly control: LaneControl;
  /** Takes finished chunks; the lane does not touch them any more. */
  report(results: readonly ChunkResult[]): void;
  readonly pause?: LanePause;
}

/**
 * Called between two chunks by a lane that shares its thread with other work: when it is their turn, it returns a
 * promise that the lane awaits.
 */
export type LanePause = () => Promise<void> | undefined;

/** One target as a lane writes to it. */
export interface LaneTarget {
  /** One for each file of the layout. */
  readonly sinks: readonly ByteSink[];
  /** Undefined when the layout stores bytes as they are. */
  readonly encoder: UnitEncoder | undefined;
  /** For an overlay: the image that it stands on, with all below it. */
  readonly base?: DiskImage;
}

/** What was appended to one target for one chunk; undefined where its layout has fixed places. */
export type PlacedChunk = { readonly cursor: PlacementCursor; readonly runs: readonly PlacedRun[] } | undefined;

/** What became of one chunk, when its bytes are written. Plain data. */
export interface ChunkResult {
  readonly from: number;
  /** The chunk after this one. */
  readonly to: number;
  /** Guest bytes that were not zero, in whole blocks. */
  readonly dataBytes: number;
  /** The digest of the chunk's subtree; undefined when it is all zeros or digests are not asked for. */
  readonly digest: Uint8Array | undefined;
  /** One for each target. */
  readonly placed: readonly PlacedChunk[];
}

/** Chunks that a lane may hold encoded while it waits for its turn to place them. */
const PENDING_CHUNKS = 4;
/** Results are reported this many at a time: a message between threads costs as much as a small chunk. */
const REPORT_BATCH = 16;

/** One chunk in the hands of a lane: its buffers are reused for chunk after chunk. */
interface ChunkSlot {
  readonly guest: Uint8Array;
  readonly zeros: ZeroBlocks;
  readonly bases: readonly BaseChunk[];
  /** One for each target. */
  readonly placers: readonly ChunkPlacer[];
}

interface PreparedChunk {
  readonly taken: TakenChunk;
  readonly slot: ChunkSlot;
  readonly digest: Uint8Array | undefined;
  readonly dataBytes: number;
}

/**
 * Works until no chunk is left: read, find zeros, digest, encode, place, write. Decides nothing: the layout and the map
 * have. Throws what reading, encoding or writing throws; the caller then stops the other lanes.
 */
export async function runLane(job: LaneJob, ports: LanePorts, signal?: AbortSignal): Promise<void> {
  const { control } = ports;
  const slots = Array.from({ length: PENDING_CHUNKS }, () => chunkSlot(job, ports));
  const ordered = slots[0]?.placers.some((placer) => placer.ordered) ?? false;
  const pending: PreparedChunk[] = [];
  const batch: ChunkResult[] = [];
  const report = (): void => ports.report(batch.splice(0));
  const place = async (prepared: PreparedChunk): Promise<void> => {
    batch.push(await placeChunk(prepared, control, ordered));
    slots.push(prepared.slot);
    if (batch.length >= REPORT_BATCH) report();
  };
  for (let taken = control.take(); taken !== undefined; taken = control.take()) {
    const slot = slots.pop();
    if (slot === undefined) throw new Error('assertion failed: a lane has a free slot for each chunk it takes');
    pending.push(await prepareChunk(job, ports, { taken, slot, signal }));
    for (let first = pending[0]; first !== undefined; first = pending[0]) {
      if (ordered && slots.length > 0 && !control.isMyTurn(first.taken)) break;
      if (ordered) waitReporting(control, first.taken, report);
      pending.shift();
      await place(first);
    }
    const pause = ports.pause?.();
    if (pause !== undefined) await pause;
  }
  for (const prepared of pending) {
    waitReporting(control, prepared.taken, report);
    await place(prepared);
  }
  report();
}

/** A lane that must sleep hands over its results first, so that a checkpoint need not wait for it. */
function waitReporting(control: LaneControl, taken: TakenChunk, report: () => void): void {
  if (control.isMyTurn(taken)) return;
  report();
  control.waitForTurn(taken);
}

function chunkSlot(job: LaneJob, ports: LanePorts): ChunkSlot {
  const guest = new Uint8Array(job.map.chunkSize);
  const zeroUnit = job.zeroRule === undefined ? ZERO_BLOCK_SIZE : zeroRuns(job.zeroRule).unit;
  const blockSize = Math.min(ZERO_BLOCK_SIZE, zeroUnit, ...job.layouts.map((layout) => layout.unitSize));
  const zeros = zeroBlocks(guest, blockSize, ports.codecs);
  const bases: BaseChunk[] = [];
  const placers = job.layouts.map((layout, index) => {
    const target = ports.targets[index];
    assert(target !== undefined, 'every layout has its target');
    assert((target.base === undefined) === (layout.overlay === undefined), 'an overlay has what it stands on');
    const base = target.base === undefined ? undefined : baseChunk(target.base, guest);
    if (base !== undefined) bases.push(base);
    return chunkPlacer({ layout, encoder: target.encoder, sinks: target.sinks, guest, zeros, base });
  });
  return { guest, zeros, bases, placers };
}

async function prepareChunk(
  job: LaneJob,
  ports: LanePorts,
  work: { readonly taken: TakenChunk; readonly slot: ChunkSlot; readonly signal: AbortSignal | undefined },
): Promise<PreparedChunk> {
  const { taken, slot, signal } = work;
  const offset = taken.chunk * job.map.chunkSize;
  const length = Math.min(job.map.chunkSize, job.virtualSize - offset);
  const ranges = dataParts(job.map, taken.chunk, length);
  await readRanges(ports.source, { offset, into: slot.guest, ranges }, signal);
  slot.zeros.scan(length, ranges);
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

async function placeChunk(prepared: PreparedChunk, control: LaneControl, ordered: boolean): Promise<ChunkResult> {
  const { taken, slot, digest, dataBytes } = prepared;
  const placed: PlacedChunk[] = [];
  for (const [target, placer] of slot.placers.entries()) {
    if (placer.ordered) {
      const chunk = placer.place(control.cursor(target));
      control.moveCursor(target, chunk.cursor);
      placed.push(chunk);
    } else {
      placed.push(undefined);
    }
    if (placer.writesInTurn) await placer.write();
  }
  if (ordered) control.endTurn(taken);
  for (const placer of slot.placers) if (!placer.writesInTurn) await placer.write();
  return { from: taken.from, to: taken.chunk + 1, dataBytes, digest, placed };
}
