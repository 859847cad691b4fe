import type { ByteSink } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { PlacedRun, TargetLayout, UnitEncoder } from '../image/target.ts';
import { appends } from '../image/target.ts';
import type { LaneControl, PlacementCursor, TakenChunk } from './lane-control.ts';
import type { ChunkSlot, PreparedChunk } from './prepare-chunk.ts';
import { chunkSlot, prepareChunk } from './prepare-chunk.ts';
import { storedAhead } from './stored-ahead.ts';
import type { WorkMap } from './work-map.ts';
import type { ZeroRule } from './zero-rule.ts';

/** What one job is, the same for all its lanes; plain data that threads can be given. */
export interface LaneJob {
  /** Bytes of guest disk in the source. */
  readonly virtualSize: number;
  readonly map: WorkMap;
  /** The memory of the job's `LaneControl`. */
  readonly control: SharedArrayBuffer | ArrayBuffer;
  readonly digest: boolean;
  /** True when bytes that need not be looked at may go from file to file unseen; zeros are then found by samples. */
  readonly unseen?: boolean;
  /** True when so much is to be read that the disk should be asked for it before it is wanted. */
  readonly readAhead?: boolean;
  /** True when targets may share blocks on disk with the source's file. */
  readonly reflink?: boolean;
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

/** Chunks that a lane may hold encoded while it waits for its turn to place or to write them. */
const PENDING_CHUNKS = 4;
/** Results are reported this many at a time: a message between threads costs as much as a small chunk. */
const REPORT_BATCH = 16;

/** A chunk whose units have their places. */
interface PlacedWork {
  readonly slot: ChunkSlot;
  readonly result: ChunkResult;
}

/**
 * Works until no chunk is left: read, find zeros, digest, encode, place, write. Decides nothing: the layout and the map
 * have. While another lane writes, this one goes on with the next chunk, for file systems let one writer at a time into
 * a file and the others burn their processor. Throws what reading, encoding or writing throws; the caller then stops
 * the other lanes.
 */
export async function runLane(job: LaneJob, ports: LanePorts, signal?: AbortSignal): Promise<void> {
  const { control } = ports;
  const ahead = storedAhead(ports.source);
  const slots = slotPool(() => chunkSlot(job, ports, ahead));
  const ordered = job.layouts.some(appends);
  const pending: PreparedChunk[] = [];
  const placed: PlacedWork[] = [];
  const batch: ChunkResult[] = [];
  const report = (): void => ports.report(batch.splice(0));
  const placeReady = async (patience: 'last' | 'some'): Promise<void> => {
    for (let first = pending[0]; first !== undefined; first = pending[0]) {
      const mustPlace = patience === 'last' || (!slots.hasFree() && placed.length === 0);
      if (ordered && !mustPlace && !control.isMyTurn(first.taken)) return;
      if (ordered) waitReporting(control, first.taken, report);
      pending.shift();
      placed.push({ slot: first.slot, result: await placeChunk(first, control, ordered) });
    }
  };
  const writePlaced = async (patience: 'last' | 'some'): Promise<void> => {
    if (placed.length === 0 || !control.beginWriting(patience === 'last' || !slots.hasFree())) return;
    try {
      for (const { slot } of placed) for (const placer of slot.placers) if (!placer.writesInTurn) await placer.write();
    } finally {
      control.endWriting();
    }
    for (const { slot, result } of placed.splice(0)) {
      slots.giveBack(slot);
      batch.push(result);
    }
    if (batch.length >= REPORT_BATCH) report();
  };
  for (let taken = control.take(); taken !== undefined; taken = control.take()) {
    pending.push(await prepareChunk(job, ports, { taken, slot: slots.take(), signal }));
    await placeReady('some');
    await writePlaced('some');
    const pause = ports.pause?.();
    if (pause !== undefined) await pause;
  }
  await placeReady('last');
  await writePlaced('last');
  report();
}

/** The places for a lane's chunks: each is made when all made before it are taken. */
interface SlotPool {
  hasFree(): boolean;
  /** Only when one is free. */
  take(): ChunkSlot;
  giveBack(slot: ChunkSlot): void;
}

function slotPool(make: () => ChunkSlot): SlotPool {
  const free: ChunkSlot[] = [];
  let made = 0;
  return {
    hasFree: () => free.length > 0 || made < PENDING_CHUNKS,
    take() {
      const slot = free.pop();
      if (slot !== undefined) return slot;
      assert(made < PENDING_CHUNKS, 'a lane has a free slot for each chunk it takes');
      made++;
      return make();
    },
    giveBack: (slot) => free.push(slot),
  };
}

/** A lane that must sleep hands over its results first, so that a checkpoint need not wait for it. */
function waitReporting(control: LaneControl, taken: TakenChunk, report: () => void): void {
  if (control.isMyTurn(taken)) return;
  report();
  control.waitForTurn(taken);
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
  return { from: taken.from, to: taken.chunk + 1, dataBytes, digest, placed };
}
