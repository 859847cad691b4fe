import type { ByteSource } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';
import type { Finding } from '../../image/finding.ts';
import type { CheckReport } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { Anatomy } from './anatomy.ts';
import { readAnatomy } from './anatomy.ts';
import type { BatEntries } from './bat-entry.ts';
import { BITMAP, BLOCK } from './bat-entry.ts';
import type { BlockAllocationTable } from './block-allocation-table.ts';
import { blockAllocationTable, PAGE_ENTRIES } from './block-allocation-table.ts';
import type { Geometry } from './geometry.ts';
import { bitmapIndex, blockOfIndex, isBitmapIndex } from './geometry.ts';
import { BITMAP_BLOCK_SIZE, MIB } from './limits.ts';
import type { SpaceMap } from './space-map.ts';
import { spaceMap } from './space-map.ts';

/**
 * Walks the whole block allocation table, the log applied, and accounts for every MiB of the file: impossible entries,
 * blocks beyond the end, over each other or over regions, missing sector bitmaps. A unit is a payload block. There are no
 * leaks: the specification lets a file have space that nothing uses, and both Hyper-V and QEMU leave some.
 * Throws what `open` throws for what stands before the table.
 */
export async function checkVhdx(source: ByteSource): Promise<CheckReport> {
  const anatomy = await readAnatomy(source);
  refuseUnsafe(
    'vhdx',
    anatomy.findings.filter(({ code }) => code !== 'differencing-parent'),
  );
  const { geometry } = anatomy;
  assert(geometry !== undefined, 'impossible sizes are refused');
  const survey = newSurvey(anatomy, geometry);
  const table = blockAllocationTable(anatomy.source, anatomy.batRegion, geometry);
  for (let first = 0; first < geometry.entries; first += PAGE_ENTRIES) {
    const entries = await table.page(first / PAGE_ENTRIES);
    for (let at = 0; at < entries.count;) {
      judgeEntry(survey, entries, { index: first + at, at });
      at = isIdle(entries, at) ? idleEnd(geometry, entries, { index: first + at, at }) : at + 1;
    }
    await judgeBitmaps(survey, table);
  }
  return reportOf(anatomy, survey);
}

/** One kind of fault: counted, with the place of the first. */
interface Fault {
  readonly code: string;
  readonly what: string;
  count: number;
  first: number;
}

interface Survey {
  readonly geometry: Geometry;
  readonly batOffset: number;
  readonly space: SpaceMap;
  readonly faults: Map<string, Fault>;
  /** Chunks with a block in parts whose bitmap is still to be judged. */
  readonly partialChunks: number[];
  lastPartialChunk: number;
  allocated: number;
  fragmented: number;
  previousEnd: number;
}

function newSurvey(anatomy: Anatomy, geometry: Geometry): Survey {
  const space = spaceMap(anatomy.source.size);
  const { logOffset, logLength } = anatomy.headers.current;
  space.take(0, MIB);
  space.take(logOffset, logLength);
  for (const region of anatomy.regions) space.take(region.fileOffset, region.length);
  return {
    geometry,
    batOffset: anatomy.batRegion.fileOffset,
    space,
    faults: new Map(),
    partialChunks: [],
    lastPartialChunk: -1,
    allocated: 0,
    fragmented: 0,
    previousEnd: 0,
  };
}

function addFault(survey: Survey, code: string, what: string, index: number): void {
  const key = `${code} ${what}`;
  const fault = survey.faults.get(key) ?? { code, what, count: 0, first: survey.batOffset + index * 8 };
  fault.count++;
  survey.faults.set(key, fault);
}

/** `index` counts in the whole table, `at` in the entries. */
interface EntryPlace {
  readonly index: number;
  readonly at: number;
}

/** Nothing is to be said about an entry without a block and without a place. */
function isIdle(entries: BatEntries, at: number): boolean {
  return entries.state(at) <= BLOCK.unmapped && entries.hostOffset(at) === 0;
}

/** The entry after those that are like this one and belong to payload blocks. */
function idleEnd(geometry: Geometry, entries: BatEntries, { index, at }: EntryPlace): number {
  const nextBitmap = bitmapIndex(geometry, Math.floor(index / (geometry.chunkRatio + 1))) - index + at;
  return entries.runEnd(at, Math.max(at + 1, Math.min(entries.count, nextBitmap)));
}

function judgeEntry(survey: Survey, entries: BatEntries, place: EntryPlace): void {
  const { geometry } = survey;
  const state = entries.state(place.at);
  const hostOffset = entries.hostOffset(place.at);
  if (isBitmapIndex(geometry, place.index)) {
    // QEMU before April 2023 leaves stray entries here in disks without a parent, where nobody reads them.
    if (geometry.hasParent) judgeBitmapEntry(survey, { state, hostOffset }, place.index);
    return;
  }
  const block = blockOfIndex(geometry, place.index);
  if (block >= geometry.payloadBlocks) return;
  const isHeld = state === BLOCK.undefined || state === BLOCK.zero || state === BLOCK.unmapped;
  if (state === BLOCK.notPresent || (isHeld && hostOffset === 0)) return;
  if (isHeld) {
    survey.space.hold(hostOffset, geometry.blockSize);
    return;
  }
  if (state === BLOCK.partiallyPresent && geometry.hasParent) {
    const chunk = Math.floor(block / geometry.chunkRatio);
    if (chunk !== survey.lastPartialChunk) survey.partialChunks.push(chunk);
    survey.lastPartialChunk = chunk;
  } else if (state !== BLOCK.fullyPresent) {
    addFault(survey, 'corrupt-table', 'entries have a state that is not possible', place.index);
    return;
  }
  survey.allocated++;
  if (survey.previousEnd !== 0 && hostOffset !== survey.previousEnd) survey.fragmented++;
  survey.previousEnd = hostOffset + geometry.blockSize;
  const needed = Math.min(geometry.blockSize, geometry.diskSize - block * geometry.blockSize);
  judgePlace(survey, { hostOffset, length: geometry.blockSize, needed }, place.index);
}

function judgeBitmapEntry(
  survey: Survey,
  entry: { readonly state: number; readonly hostOffset: number },
  index: number,
): void {
  if (entry.state === BITMAP.notPresent) return;
  if (entry.state !== BITMAP.present) {
    addFault(survey, 'corrupt-table', 'entries have a state that is not possible', index);
    return;
  }
  const length = BITMAP_BLOCK_SIZE;
  judgePlace(survey, { hostOffset: entry.hostOffset, length, needed: length }, index);
}

/** `needed` bytes of the block must be in the file; the rest of the last block may be cut off. */
function judgePlace(
  survey: Survey,
  block: { readonly hostOffset: number; readonly length: number; readonly needed: number },
  index: number,
): void {
  if (block.hostOffset + block.needed > survey.space.fileSize) {
    addFault(survey, 'truncated', 'blocks lie beyond the end of the file', index);
  } else if (survey.space.take(block.hostOffset, block.length) === 'taken') {
    addFault(survey, 'overlapping-tables', 'blocks lie over the header, a region, the log or another block', index);
  }
}

/** Every chunk with a block in parts has its bitmap. */
async function judgeBitmaps(survey: Survey, table: BlockAllocationTable): Promise<void> {
  for (const chunk of survey.partialChunks.splice(0)) {
    const index = bitmapIndex(survey.geometry, chunk);
    const entries = await table.page(Math.floor(index / PAGE_ENTRIES));
    if (entries.state(index % PAGE_ENTRIES) === BITMAP.present) continue;
    addFault(survey, 'corrupt-table', 'chunks have blocks in parts, but no sector bitmap', index);
  }
}

function reportOf(anatomy: Anatomy, survey: Survey): CheckReport {
  const faults = [...survey.faults.values()];
  const findings: Finding[] = anatomy.findings.filter(({ code }) => code !== 'differencing-parent');
  for (const { code, what, count, first } of faults) {
    findings.push({ code, severity: 'unsafe', offset: first, message: `${count} ${what}` });
  }
  return {
    corruptions: faults.reduce((sum, fault) => sum + fault.count, 0),
    leaks: 0,
    findings,
    allocatedUnits: survey.allocated,
    totalUnits: survey.geometry.payloadBlocks,
    compressedUnits: 0,
    fragmentedUnits: survey.fragmented,
    imageEndOffset: survey.space.end(),
  };
}
