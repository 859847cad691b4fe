import type { ByteSink, ByteSource } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { alignDown, alignUp } from '../bytes/numbers.ts';
import { throwIfAborted } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { UnitEncoder } from '../image/target.ts';
import type { LaneJob, LanePorts } from './lane.ts';
import { storedAhead } from './stored-ahead.ts';
import { readPadded } from './unit-walk.ts';
import type { ByteRange } from './zero-blocks.ts';

/**
 * Bytes that a lane copies from file to file without looking at them. Zeros are still found, by samples: a unit whose
 * first bytes are zeros is read whole.
 */
export interface UnseenBytes {
  /**
   * Divides the chunk at `offset` into what goes unseen and what must be read, and reads that; elsewhere are zeros. Chunks
   * must ascend.
   */
  divide(offset: number, length: number, signal?: AbortSignal): Promise<DividedChunk>;
  /** Writes the range of the divided chunk to `hostOffset`: what is unseen from where it lies, the rest from `guest`. */
  write(sink: ByteSink, hostOffset: number, range: ByteRange): Promise<void>;
}

/** Ranges relative to the start of their chunk, ascending; those that are unseen hold whole units of every target. */
export interface DividedChunk {
  readonly unseen: readonly ByteRange[];
  readonly seen: readonly ByteRange[];
}

/** Guest bytes of which one sample is taken. */
const SAMPLED_UNIT: number = 64 * 1024;
/** One line of the processor's cache. Of the units with data on a disk of /usr of Debian, 1 in 130 begins with so many zeros. */
const SAMPLE_SIZE = 64;

/** A range of the chunk that lies in the source's file as it is. */
interface StoredPart extends ByteRange {
  readonly hostOffset: number;
}

/** True when a target that is written with the encoder takes bytes as they are and asks nothing about them. */
export function takesUnseen(encoder: UnitEncoder | undefined): boolean {
  return encoder === undefined || (encoder.maxStoredLength === 0 && encoder.looksInside !== true);
}

/** For the chunks in `guest`; undefined when somebody must see every byte. */
export function unseenBytes(job: LaneJob, ports: LanePorts, guest: Uint8Array): UnseenBytes | undefined {
  const { source, targets } = ports;
  const canCopy = targets.every(
    ({ sinks, encoder }) => takesUnseen(encoder) && sinks.every((sink) => sink.copyFrom !== undefined),
  );
  const readSamples = source.file?.readSamples;
  if (job.unseen !== true || source.file === undefined || readSamples === undefined || !canCopy) return undefined;
  const unit = Math.max(SAMPLED_UNIT, ...job.layouts.map((layout) => layout.unitSize));
  return dividedChunks({ source, file: source.file, readSamples, unit, guest, codecs: ports.codecs });
}

interface UnseenPorts {
  readonly source: DiskImage;
  readonly file: ByteSource;
  readonly readSamples: NonNullable<ByteSource['readSamples']>;
  readonly unit: number;
  readonly guest: Uint8Array;
  readonly codecs: Codecs;
}

function dividedChunks(ports: UnseenPorts): UnseenBytes {
  const { source, file, readSamples, unit, guest, codecs } = ports;
  const sampled = new Uint8Array((guest.length / unit) * SAMPLE_SIZE);
  const isZeroSample = (index: number): boolean =>
    sampled[index * SAMPLE_SIZE] === 0 &&
    codecs.isZero(sampled.subarray(index * SAMPLE_SIZE, (index + 1) * SAMPLE_SIZE));
  const storedIn = storedAhead(source);
  let parts: StoredPart[] = [];
  return {
    async divide(offset, length, signal) {
      const unseen: StoredPart[] = [];
      const seen: ByteRange[] = [];
      const see = (start: number, end: number): void => addRange(seen, start, Math.min(end, length));
      for (const stored of await storedIn(offset, offset + length)) {
        const start = stored.start - offset;
        const end = stored.end - offset;
        const first = alignUp(start, unit);
        const last = alignDown(end, unit);
        if (stored.hostOffset === undefined || first >= last) {
          see(alignDown(start, unit), alignUp(end, unit));
          continue;
        }
        if (start < first) see(first - unit, first);
        const firstHost = stored.hostOffset + (first - start);
        const samples = sampled.subarray(0, ((last - first) / unit) * SAMPLE_SIZE);
        readSamples({ offset: firstHost, stride: unit, length: SAMPLE_SIZE }, samples);
        for (let at = first; at < last;) {
          const isZero = isZeroSample((at - first) / unit);
          let next = at + unit;
          while (next < last && isZeroSample((next - first) / unit) === isZero) next += unit;
          if (isZero) see(at, next);
          else addPart(unseen, { start: at, end: next, hostOffset: firstHost + (at - first) });
          at = next;
        }
        if (end > last) see(last, last + unit);
      }
      throwIfAborted(signal);
      for (const { start, end } of seen) {
        await readPadded(source, offset + start, guest.subarray(start, alignUp(end, unit)), signal);
      }
      parts = unseen;
      return { unseen, seen };
    },
    async write(sink, hostOffset, { start, end }) {
      let done = start;
      const writeSeen = async (until: number): Promise<void> => {
        if (until > done) await sink.write(hostOffset + (done - start), guest.subarray(done, until));
      };
      for (const part of parts) {
        const from = Math.max(done, part.start);
        const to = Math.min(end, part.end);
        if (from >= to) continue;
        await writeSeen(from);
        const range = { offset: part.hostOffset + (from - part.start), length: to - from };
        const copied = sink.copyFrom?.(file, range, hostOffset + (from - start)) ?? 0;
        if (copied < range.length) {
          await file.read(range.offset + copied, guest.subarray(from + copied, to));
          await sink.write(hostOffset + (from + copied - start), guest.subarray(from + copied, to));
        }
        done = to;
      }
      await writeSeen(end);
    },
  };
}

/** Adds a range that begins nowhere before the last one. */
function addRange(ranges: ByteRange[], start: number, end: number): void {
  const last = ranges.at(-1);
  if (last === undefined || last.end < start) ranges.push({ start, end });
  else ranges[ranges.length - 1] = { start: last.start, end: Math.max(last.end, end) };
}

/** The same for parts, which are one where they follow each other in the file too. */
function addPart(parts: StoredPart[], part: StoredPart): void {
  const last = parts.at(-1);
  const follows = last?.end === part.start && last.hostOffset + (last.end - last.start) === part.hostOffset;
  if (last === undefined || !follows) parts.push(part);
  else parts[parts.length - 1] = { ...last, end: part.end };
}
