import { alignDown, alignUp } from '../bytes/numbers.ts';
import { assert, throwIfAborted } from '../errors.ts';
import type { UnitEncoder } from '../image/target.ts';
import type { ChunkLoader, LoaderPorts, StoredPart } from './direct-bytes.ts';
import type { LaneJob, LanePorts } from './lane.ts';
import { readPadded } from './unit-walk.ts';
import type { ByteRange } from './zero-blocks.ts';

/** Guest bytes of which one sample is taken. */
const SAMPLED_UNIT: number = 64 * 1024;
/** One line of the processor's cache. Of the units with data on a disk of /usr of Debian, 1 in 130 begins with so many zeros. */
const SAMPLE_SIZE = 64;

/** True when a target that is written with the encoder takes bytes as they are and asks nothing about them. */
export function takesUnseen(encoder: UnitEncoder | undefined): boolean {
  return encoder === undefined || (encoder.maxStoredLength === 0 && encoder.looksInside !== true);
}

/** True when nobody must see every byte, and all can be copied from file to file. */
export function copiesUnseen(job: LaneJob, { source, targets }: LanePorts): boolean {
  const canCopy = targets.every(
    ({ sinks, encoder }) => takesUnseen(encoder) && sinks.every((sink) => sink.copyFrom !== undefined),
  );
  return job.unseen === true && source.file?.readSamples !== undefined && canCopy;
}

/**
 * Reads of a chunk what may be zeros. They are found by samples: a unit whose first bytes are zeros is read whole, one
 * whose first bytes are not is data. Where blocks on disk are shared, zeros take no space, and nothing is read.
 */
export function unseenLoader({ job, ports, file, guest, ahead }: LoaderPorts): ChunkLoader {
  const { source, codecs } = ports;
  const unit = Math.max(SAMPLED_UNIT, ...job.layouts.map((layout) => layout.unitSize));
  const sampled = new Uint8Array((guest.length / unit) * SAMPLE_SIZE);
  const isZeroSample = (index: number): boolean =>
    sampled[index * SAMPLE_SIZE] === 0 &&
    codecs.isZero(sampled.subarray(index * SAMPLE_SIZE, (index + 1) * SAMPLE_SIZE));
  function* sampledParts({ start, end, hostOffset }: StoredPart): Generator<StoredPart & { readonly isZero: boolean }> {
    assert(file.readSamples !== undefined, 'the source can be sampled');
    const samples = sampled.subarray(0, ((end - start) / unit) * SAMPLE_SIZE);
    file.readSamples({ offset: hostOffset, stride: unit, length: SAMPLE_SIZE }, samples);
    for (let at = start; at < end;) {
      const isZero = isZeroSample((at - start) / unit);
      let next = at + unit;
      while (next < end && isZeroSample((next - start) / unit) === isZero) next += unit;
      yield { start: at, end: next, hostOffset: hostOffset + (at - start), isZero };
      at = next;
    }
  }
  return async ({ offset, length }, { isShared }, signal) => {
    const unseen: StoredPart[] = [];
    const seen: ByteRange[] = [];
    const see = (start: number, end: number): void => addRange(seen, start, Math.min(end, length));
    if (job.readAhead === true && !isShared) await ahead.readAhead(offset);
    for (const stored of await ahead.within(offset, offset + length)) {
      const start = stored.start - offset;
      const end = stored.end - offset;
      const first = alignUp(start, unit);
      const last = alignDown(end, unit);
      if (stored.hostOffset === undefined || first >= last) {
        see(alignDown(start, unit), alignUp(end, unit));
        continue;
      }
      if (start < first) see(first - unit, first);
      const units = { start: first, end: last, hostOffset: stored.hostOffset + (first - start) };
      if (isShared) addPart(unseen, units);
      else {
        for (const { isZero, ...part } of sampledParts(units)) {
          if (isZero) see(part.start, part.end);
          else addPart(unseen, part);
        }
      }
      if (end > last) see(last, last + unit);
    }
    throwIfAborted(signal);
    for (const { start, end } of seen) {
      await readPadded(source, offset + start, guest.subarray(start, alignUp(end, unit)), signal);
    }
    return { seen, unseen, stored: unseen };
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
