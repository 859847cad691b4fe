import { alignUp } from '../../../bytes/numbers.ts';
import type { Qcow2Header } from '../header.ts';
import { AUTOCLEAR, encodeHeader, writtenHeaderLength } from '../header.ts';
import { encodeExtension, encodeFeatureNameTable, FEATURE_NAMES } from '../header-extension.ts';
import type { ExtensionDraft, FeatureName } from '../header-extension.ts';
import { MAX_FILE_NAME_LENGTH } from '../limits.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { EditedImage } from './edited-image.ts';

/** What one write of a disk or a file system does wholly or not at all: the commit point of every change. */
const ATOMIC_WRITE_SIZE = 512;
const KNOWN_AUTOCLEAR = Object.values(AUTOCLEAR).reduce((mask, bit) => mask | bit, 0n);
const HEADER_LENGTH_AT = 100;
const EXTENSION_HEAD_LENGTH = 8;

export type { ExtensionDraft };

/** What becomes different in the header. */
export interface HeaderChange {
  readonly fields: Partial<Qcow2Header>;
  /** All extensions of the new header; undefined keeps those there are. */
  readonly extensions?: readonly ExtensionDraft[];
  /** Undefined keeps the name, `null` takes it away. */
  readonly backingFile?: string | null;
}

/**
 * Makes the change by one write of the first 512 bytes, after a flush and followed by one. Everything that the new
 * header names must lie in its place already. Autoclear bits that are not known are cleared, as the specification asks
 * of every writer. Throws `unsupported` when extensions or names are too long for a switch in one write: nothing has
 * changed then.
 */
export async function switchHeader(image: EditedImage, change: HeaderChange): Promise<void> {
  const { sink } = image.file;
  const header = newFields(image, change);
  const rebuilt =
    change.extensions !== undefined ||
    change.backingFile !== undefined ||
    header.version !== image.cluster.header.version;
  const plan = rebuilt ? rebuiltSector(image, header, change) : { sector: patchedSector(image, header) };
  if (plan.outside !== undefined) await sink.write(plan.outside.offset, plan.outside.bytes);
  await sink.flush();
  await sink.write(0, plan.sector);
  await sink.flush();
}

function newFields(image: EditedImage, change: HeaderChange): Qcow2Header {
  const header = { ...image.cluster.header, ...change.fields };
  return { ...header, autoclearFeatures: header.autoclearFeatures & KNOWN_AUTOCLEAR };
}

/** The old sector with new fields, when extensions and names stay where they are. */
function patchedSector(image: EditedImage, header: Qcow2Header): Uint8Array {
  const { bytes, header: old } = image.cluster;
  const sector = new Uint8Array(ATOMIC_WRITE_SIZE);
  sector.set(bytes.subarray(0, ATOMIC_WRITE_SIZE));
  sector.set(encodeHeader(header).subarray(0, old.headerLength));
  if (header.version === 3) new DataView(sector.buffer).setUint32(HEADER_LENGTH_AT, old.headerLength);
  return sector;
}

interface SectorPlan {
  readonly sector: Uint8Array;
  /** Bytes of the first cluster behind the sector, in a place that the old header does not use. */
  readonly outside?: { readonly offset: number; readonly bytes: Uint8Array };
}

function rebuiltSector(image: EditedImage, header: Qcow2Header, change: HeaderChange): SectorPlan {
  const sector = new Uint8Array(ATOMIC_WRITE_SIZE);
  const start = startOfExtensions(image, header, sector);
  const name = newBackingName(image, change);
  const { clusterSize } = image.metadata.geometry;
  const reserved = clusterSize > ATOMIC_WRITE_SIZE ? 0 : name.length;
  const chain = encodeExtensions(image, header, change, ATOMIC_WRITE_SIZE - start - reserved);
  if (start + chain.length + reserved > ATOMIC_WRITE_SIZE) throw doesNotFit('The header extensions are');
  sector.set(chain, start);
  const place = name.length === 0 ? 0 : placeOfName(image, start + chain.length, name.length);
  const isInside = place < ATOMIC_WRITE_SIZE;
  if (isInside) sector.set(name, place);
  const fields = encodeHeader({ ...header, backingFileOffset: place, backingFileSize: name.length });
  sector.set(fields);
  if (header.version === 3) new DataView(sector.buffer).setUint32(HEADER_LENGTH_AT, start);
  return isInside ? { sector } : { sector, outside: { offset: place, bytes: name } };
}

/** Where extensions begin: behind the header, whose fields beyond those that are known are copied. */
function startOfExtensions(image: EditedImage, header: Qcow2Header, sector: Uint8Array): number {
  const written = writtenHeaderLength(header.version);
  const { header: old, bytes } = image.cluster;
  if (header.version === 2 || old.headerLength <= written) return written;
  if (old.headerLength > ATOMIC_WRITE_SIZE) throw doesNotFit('The header is');
  sector.set(bytes.subarray(0, old.headerLength));
  return old.headerLength;
}

function newBackingName(image: EditedImage, change: HeaderChange): Uint8Array {
  if (change.backingFile === null) return new Uint8Array();
  const { backingFileOffset: offset, backingFileSize: length } = image.cluster.header;
  if (change.backingFile === undefined) {
    return offset === 0 ? new Uint8Array() : image.cluster.bytes.subarray(offset, offset + length);
  }
  const name = new TextEncoder().encode(change.backingFile);
  if (name.length <= MAX_FILE_NAME_LENGTH) return name;
  throw qcow2Error(
    'out_of_bounds',
    `The backing file name has ${name.length} bytes; ${MAX_FILE_NAME_LENGTH} is the most`,
    { structure: 'backing file name' },
  );
}

/** In the sector behind the extensions, else behind everything that the old header uses. */
function placeOfName(image: EditedImage, chainEnd: number, length: number): number {
  if (chainEnd + length <= ATOMIC_WRITE_SIZE) return chainEnd;
  const { clusterSize } = image.metadata.geometry;
  const used = usedRanges(image);
  const starts = [ATOMIC_WRITE_SIZE, ...used.map((range) => alignUp(Math.max(range.end, ATOMIC_WRITE_SIZE), 8))];
  const free = starts.find(
    (start) =>
      start + length <= clusterSize && used.every((range) => start >= range.end || start + length <= range.start),
  );
  if (free !== undefined) return free;
  throw doesNotFit('The backing file name is');
}

interface UsedRange {
  readonly start: number;
  readonly end: number;
}

function usedRanges(image: EditedImage): readonly UsedRange[] {
  const { backingFileOffset, backingFileSize } = image.cluster.header;
  const extensions = image.metadata.extensions.all.map((extension) => ({
    start: extension.offset,
    end: extension.offset + EXTENSION_HEAD_LENGTH + alignUp(extension.data.length, 8) + EXTENSION_HEAD_LENGTH,
  }));
  return [...extensions, { start: backingFileOffset, end: backingFileOffset + backingFileSize }];
}

/** The extensions and their end marker. Names of features are left out where there is no room: they inform only. */
function encodeExtensions(image: EditedImage, header: Qcow2Header, change: HeaderChange, room: number): Uint8Array {
  const kept = change.extensions ?? image.metadata.extensions.all;
  const others = kept.filter((extension) => extension.type !== FEATURE_NAMES).map(encodeExtension);
  const length = others.reduce((sum, bytes) => sum + bytes.length, 0);
  const names = header.version === 2 ? [] : featureNames(image, header);
  const space = room - length - 2 * EXTENSION_HEAD_LENGTH;
  const fitting = names.slice(0, Math.max(0, Math.floor(space / FEATURE_NAME_LENGTH)));
  const tail = encodeFeatureNameTable(fitting);
  const chain = new Uint8Array(length + tail.length);
  let at = 0;
  for (const bytes of [...others, tail]) {
    chain.set(bytes, at);
    at += bytes.length;
  }
  return chain;
}

const FEATURE_NAME_LENGTH = 48;

/** The names of the old table, those of features in use first. */
function featureNames(image: EditedImage, header: Qcow2Header): readonly FeatureName[] {
  const masks = [header.incompatibleFeatures, header.compatibleFeatures, header.autoclearFeatures];
  const names = [...image.metadata.extensions.featureNames].map(([key, name]) => {
    const [kind = 0, bit = 0] = key.split(':').map(Number);
    const used = ((masks[kind] ?? 0n) >> BigInt(bit)) & 1n;
    return { kind, bit, name, used };
  });
  return names.toSorted((a, b) => Number(b.used - a.used));
}

function doesNotFit(what: string): Error {
  return qcow2Error('unsupported', `${what} too long for a change in one write, which a crash could not cut in two`, {
    structure: 'header extensions',
  });
}
