import type { ByteSink, ByteSource } from '../bytes/byte-source.ts';
import { checkInside } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { assert, ImageError, throwIfAborted } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Format, GivenOptions } from '../image/format.ts';
import type { PlacedRun, TargetFile, TargetLayout, UnitEncoder } from '../image/target.ts';
import { contentSeed } from './content-id.ts';
import { convert } from './convert.ts';
import { encoderOf } from './convert-image.ts';
import { inlineLanes } from './digest.ts';
import { finalLayout, planConversion } from './plan.ts';
import type { ProgressListener } from './progress.ts';
import type { ReadableRunSpool } from './run-spool.ts';
import type { ReadableSink } from './sparse-memory.ts';
import { readPadded } from './unit-walk.ts';

/** What to make of a disk without writing it. */
export interface UnwrittenTargetRequest {
  readonly source: DiskImage;
  readonly target: Format;
  readonly options: GivenOptions;
  /** The name that the file is to have; some formats write it into the image. */
  readonly fileName: string;
  readonly codecs: Codecs;
  /** Takes the tables; see `TargetPieces`. */
  readonly tables: ReadableSink;
  readonly runs: ReadableRunSpool;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** An image that could be written: everything about it but its bytes. Plain data. */
export interface UnwrittenTarget {
  readonly layout: TargetLayout;
  /** Bytes of its one file. */
  readonly sizeBytes: number;
  /** Of the guest bytes; undefined when they did not have to be read. */
  readonly contentId: string | undefined;
  /** `encoded`: units are stored otherwise than the guest sees them, so that reading encodes them again. */
  readonly units: 'verbatim' | 'encoded';
}

/** What an unwritten target is put together from when it is read. */
export interface TargetPieces {
  /** The same disk. */
  readonly source: DiskImage;
  readonly target: Format;
  readonly codecs: Codecs;
  /** Header and tables at their places in the file, zeros where guest bytes would be. */
  readonly tables: ReadableSink;
  /** Where units lie. */
  readonly runs: ReadableRunSpool;
}

/**
 * Finds out where every byte of the target would lie: a conversion whose guest bytes go nowhere. The whole disk is read,
 * unless nothing in the target but its guest bytes depends on them, as in a raw disk. `tables` and `runs` hold then what
 * reading needs. Throws as a conversion does, and `unsupported` for a target of several files.
 */
export async function planUnwrittenTarget(request: UnwrittenTargetRequest): Promise<UnwrittenTarget> {
  const { target, codecs, tables, runs } = request;
  const layout = contentFreeLayout(request);
  if (layout === undefined) return planByReading(request);
  refuseSeveralFiles(layout);
  const ends = layout.files.map((file) => file.hostOffset);
  await target.writer?.finish({ layout, sinks: [tables], runs: runs.read(), ends, codecs });
  return { layout, sizeBytes: tables.size, contentId: undefined, units: 'verbatim' };
}

/** The layout, when it is the same whatever the guest bytes are. */
function contentFreeLayout({ source, target, options, fileName }: UnwrittenTargetRequest): TargetLayout | undefined {
  const layoutOf = (seed: number): TargetLayout | undefined =>
    target.writer?.layout({
      virtualSize: source.virtualSize,
      options,
      fileName,
      seed: new Uint8Array(SEED_BYTES).fill(seed),
    });
  const [first, second] = [layoutOf(0), layoutOf(255)];
  const isFree = JSON.stringify(first) === JSON.stringify(second);
  return isFree && first?.files.every((file) => file.placement === 'fixed') === true ? first : undefined;
}

const SEED_BYTES = 16;

async function planByReading(request: UnwrittenTargetRequest): Promise<UnwrittenTarget> {
  const { source, target: format, options, fileName, codecs, tables, runs } = request;
  const watched = {
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(request.onProgress === undefined ? {} : { onProgress: request.onProgress }),
  };
  const { plan, map } = await planConversion({
    source,
    targets: [{ format, options, fileName }],
    shared: false,
    ...watched,
  });
  const [planned] = plan.targets;
  assert(planned !== undefined, 'what was asked for is planned');
  refuseSeveralFiles(planned.layout);
  let units: UnwrittenTarget['units'] = 'verbatim';
  const encoder = noting(encoderOf(format, planned.layout, codecs), () => (units = 'encoded'));
  const { contentId } = await convert(plan, {
    codecs,
    map,
    shared: false,
    now: () => performance.now(),
    digest: true,
    lanes: inlineLanes({ source, targets: [{ sinks: [NOWHERE], encoder }], codecs }),
    targets: [{ format, sinks: [tables], spool: runs }],
    ...watched,
  });
  assert(contentId !== undefined, 'a conversion of one thread digests');
  const layout = finalLayout(format, planned, contentSeed(contentId));
  return { layout, sizeBytes: tables.size, contentId, units };
}

/** Throws `unsupported` for a layout of several files. */
function refuseSeveralFiles(layout: TargetLayout): void {
  if (layout.files.length === 1) return;
  throw new ImageError('unsupported', 'This subformat is made of several files; only one can be read as a stream', {
    format: layout.format,
  });
}

/** Guest bytes of a target that is not written. */
const NOWHERE: ByteSink = {
  write: async () => {},
  zero: async () => {},
  truncate: async () => {},
  flush: async () => {},
  close: async () => {},
};

/** The encoder; `note` hears of every unit that is not stored as it is. */
function noting(encoder: UnitEncoder | undefined, note: () => void): UnitEncoder | undefined {
  if (encoder === undefined) return undefined;
  return {
    maxStoredLength: encoder.maxStoredLength,
    encode(unit, guestOffset, into) {
      const stored = encoder.encode(unit, guestOffset, into);
      if (!stored.verbatim) note();
      return stored;
    },
  };
}

/**
 * The file of an unwritten target, readable at any position: the same bytes that a conversion would have written. Guest
 * bytes are read from the source, encoded ones encoded again. Closing it closes nothing else. Throws as the source does,
 * and `corrupt` when that has changed since.
 */
export function unwrittenTarget(planned: UnwrittenTarget, pieces: TargetPieces): ByteSource {
  const { layout, sizeBytes } = planned;
  const [file] = layout.files;
  assert(file !== undefined, 'a layout has a file');
  const fill = file.placement === 'fixed' ? fixedBytes(file, pieces) : placedBytes(planned, pieces);
  return {
    size: sizeBytes,
    async read(offset, into, signal) {
      throwIfAborted(signal);
      checkInside(sizeBytes, offset, into.length);
      await fill({ offset, into, signal });
    },
    async close() {},
  };
}

interface Wanted {
  /** In the file of the target. */
  readonly offset: number;
  readonly into: Uint8Array;
  readonly signal: AbortSignal | undefined;
}

type Fill = (wanted: Wanted) => Promise<void>;

/** Every guest byte has its own place. */
function fixedBytes(file: TargetFile, { source, tables }: TargetPieces): Fill {
  return async ({ offset, into, signal }) => {
    const end = offset + into.length;
    const from = Math.min(Math.max(offset, file.hostOffset), end);
    const to = Math.max(from, Math.min(end, file.hostOffset + file.guestLength));
    if (from > offset) await tables.read(offset, into.subarray(0, from - offset));
    const guestOffset = file.guestOffset + from - file.hostOffset;
    if (to > from) await readPadded(source, guestOffset, into.subarray(from - offset, to - offset), signal);
    if (end > to) await tables.read(to, into.subarray(to - offset));
  };
}

/** Units lie where the runs say, tables and zeros between them. */
function placedBytes(planned: UnwrittenTarget, pieces: TargetPieces): Fill {
  const { tables, source } = pieces;
  const { unitSize } = planned.layout;
  const runsFrom = runFinder(pieces.runs);
  const encoded = planned.units === 'encoded' ? encodedUnits(planned, pieces) : undefined;
  return async ({ offset, into, signal }) => {
    const end = offset + into.length;
    let position = offset;
    const tablesUpTo = async (to: number): Promise<void> => {
      if (to > position) await tables.read(position, into.subarray(position - offset, to - offset));
      position = Math.max(position, to);
    };
    for await (const run of runsFrom(offset)) {
      if (run.hostOffset >= end) break;
      await tablesUpTo(run.hostOffset);
      const to = Math.min(end, endOf(run));
      const part = into.subarray(position - offset, to - offset);
      const inRun = position - run.hostOffset;
      if (encoded !== undefined) await encoded({ run, offset: inRun, into: part, signal });
      else await readPadded(source, run.guestOffset + inRun, part, signal);
      assert(encoded !== undefined || run.storedLength === unitSize, 'a verbatim unit takes its own size');
      position = to;
    }
    await tablesUpTo(end);
  };
}

function endOf(run: PlacedRun): number {
  return run.hostOffset + run.unitCount * run.storedLength;
}

/** Runs that are fetched together. */
const RUNS_AT_ONCE = 512;

/** Gives the runs from the first that ends behind a host offset on; they ascend in host space as in guest space. */
function runFinder(runs: ReadableRunSpool): (offset: number) => AsyncGenerator<PlacedRun> {
  let recent: { readonly first: number; readonly runs: readonly PlacedRun[] } = { first: 0, runs: [] };
  const batchAt = async (first: number): Promise<typeof recent> => {
    if (first >= recent.first && first < recent.first + recent.runs.length) return recent;
    recent = { first, runs: await runs.readAt(first, Math.min(RUNS_AT_ONCE, runs.count - first)) };
    return recent;
  };
  const firstBehind = async (offset: number): Promise<number> => {
    const [head, tail] = [recent.runs[0], recent.runs.at(-1)];
    if (head !== undefined && tail !== undefined && head.hostOffset <= offset && offset < endOf(tail)) {
      return recent.first + recent.runs.findIndex((run) => endOf(run) > offset);
    }
    let low = 0;
    for (let high = runs.count; low < high;) {
      const middle = Math.floor((low + high) / 2);
      const [run] = await runs.readAt(middle, 1);
      assert(run !== undefined, 'a run that was counted is there');
      if (endOf(run) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return async function* (offset) {
    for (let index = await firstBehind(offset); index < runs.count;) {
      const batch = await batchAt(index);
      const run = batch.runs[index - batch.first];
      assert(run !== undefined, 'a run that was counted is there');
      yield run;
      index++;
    }
  };
}

interface WantedOfRun {
  readonly run: PlacedRun;
  /** In the stored bytes of the run. */
  readonly offset: number;
  readonly into: Uint8Array;
  readonly signal: AbortSignal | undefined;
}

/** Stored bytes of units, encoded anew; the last unit is kept, for the next piece often begins in it. */
function encodedUnits(planned: UnwrittenTarget, pieces: TargetPieces): (wanted: WantedOfRun) => Promise<void> {
  const { layout } = planned;
  const encoder = encoderOf(pieces.target, layout, pieces.codecs);
  assert(encoder !== undefined, 'units that are encoded have an encoder');
  let recent: { readonly guestOffset: number; readonly bytes: Uint8Array } | undefined;
  const bytesOf = async (run: PlacedRun, index: number, signal: AbortSignal | undefined): Promise<Uint8Array> => {
    const guestOffset = run.guestOffset + index * layout.unitSize;
    if (recent?.guestOffset === guestOffset) return recent.bytes;
    const unit = new Uint8Array(layout.unitSize);
    await readPadded(pieces.source, guestOffset, unit, signal);
    const room = new Uint8Array(encoder.maxStoredLength);
    const stored = encoder.encode(unit, guestOffset, room);
    if (stored.length !== run.storedLength) {
      throw new ImageError('corrupt', 'The source is not what it was when its target was planned');
    }
    recent = { guestOffset, bytes: stored.verbatim ? unit : room.subarray(0, stored.length) };
    return recent.bytes;
  };
  return async ({ run, offset, into, signal }) => {
    for (let done = 0; done < into.length;) {
      const index = Math.floor((offset + done) / run.storedLength);
      const from = offset + done - index * run.storedLength;
      const bytes = (await bytesOf(run, index, signal)).subarray(from, from + into.length - done);
      into.set(bytes, done);
      done += bytes.length;
    }
  };
}
