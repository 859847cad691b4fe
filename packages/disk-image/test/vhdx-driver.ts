import { crc32c, withZeroedField } from '../src/bytes/crc32.ts';
import { guidBytes } from '../src/bytes/guid.ts';
import { raw } from '../src/formats/raw/raw.ts';
import { vhdx } from '../src/formats/vhdx/vhdx.ts';
import type { DiskImage, GivenOptions, ReferencePolicy } from '../src/index.ts';
import { convertInMemory, denyReferences, memorySource, openChain, portableCodecs as codecs } from '../src/index.ts';

export const MIB: number = 2 ** 20;
export const HEADERS: readonly number[] = [65536, 131072];
export const HEADER_BYTES = 4096;
export const REGION_TABLES: readonly number[] = [196608, 262144];
export const REGION_TABLE_BYTES = 65536;
export const LOG_SECTOR = 4096;
const LOCATOR_AT = 512 * 1024;
const FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const PARENT_LOCATOR = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c';
const VHDX_PARENT = 'b04aefb7-d19e-4a81-b789-25b8e9445913';

/** Guest bytes as a VHDX file of ours. */
export async function toVhdx(guest: Uint8Array, options: GivenOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  const source = await raw.open?.(memorySource(guest), { codecs, references: denyReferences });
  if (source === undefined) throw new Error('raw can be opened');
  const { files } = await convertInMemory({ source, target: vhdx, options, codecs, fileName: 'disk.vhdx' });
  return Uint8Array.from(files.get('disk.vhdx') ?? []);
}

/** The disk in `bytes`, its parents answered by `references`. */
export async function openVhdx(bytes: Uint8Array, references: ReferencePolicy = denyReferences): Promise<DiskImage> {
  const open = vhdx.open;
  if (open === undefined) throw new Error('vhdx can be opened');
  const context = { codecs, references };
  return openChain(await open(memorySource(bytes), context), context, (source, _hint, layer) => open(source, layer));
}

/** Parents by name. */
export function parents(files: Readonly<Record<string, Uint8Array>>): ReferencePolicy {
  return async (reference) => {
    const bytes = files[reference.name];
    if (bytes === undefined) return denyReferences(reference);
    return { source: memorySource(bytes), references: parents(files), identity: reference.name };
  };
}

/** All guest bytes, read in pieces of an awkward length. */
export async function readAll(image: DiskImage, pieceLength: number = 100_003): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(image.virtualSize).fill(0xee);
  for (let offset = 0; offset < bytes.length; offset += pieceLength) {
    await image.read(offset, bytes.subarray(offset, Math.min(bytes.length, offset + pieceLength)));
  }
  return bytes;
}

/** Do both hold the same bytes? Faster than the test runner's own comparison. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** Bytes that differ from place to place and with `seed`. */
export function pattern(length: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => 1 + ((i * 7 + (i >> 9) + seed * 31) % 255));
}

/** `patch` at `at` of the checksummed structure of `length` bytes at each of `places`, the checksum made right. */
export function resummed(
  image: Uint8Array,
  structure: { readonly places: readonly number[]; readonly length: number },
  at: number,
  patch: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(image);
  for (const place of structure.places) {
    bytes.set(patch, place + at);
    const sum = crc32c(withZeroedField(bytes.subarray(place, place + structure.length), 4));
    new DataView(bytes.buffer).setUint32(place + 4, sum, true);
  }
  return bytes;
}

export const HEADER: { readonly places: readonly number[]; readonly length: number } = {
  places: HEADERS,
  length: HEADER_BYTES,
};
export const REGION_TABLE: { readonly places: readonly number[]; readonly length: number } = {
  places: REGION_TABLES,
  length: REGION_TABLE_BYTES,
};

/** The value of a little-endian u64 as bytes. */
export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** Where the region of that place in the table begins: 0 for the table of blocks, 1 for the metadata, in our files and QEMU's. */
export function regionOffset(image: Uint8Array, index: number): number {
  return viewOf(image).getUint32((REGION_TABLES[0] ?? 0) + 16 + index * 32 + 16, true);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where the metadata item of that GUID lies. */
export function itemAt(image: Uint8Array, guid: string): number {
  const table = regionOffset(image, 1);
  const wanted = guidBytes(guid);
  for (let entry = table + 32; entry < table + 65536; entry += 32) {
    if (!sameBytes(image.subarray(entry, entry + 16), wanted)) continue;
    return table + viewOf(image).getUint32(entry + 16, true);
  }
  throw new Error(`there is no metadata item ${guid}`);
}

export const FILE_PARAMETERS_ITEM: string = FILE_PARAMETERS;

/** The `DataWriteGuid` of a file of ours, as text in braces. */
export async function linkageOf(image: Uint8Array): Promise<string> {
  const { info } = await vhdx.examine(memorySource(image));
  return `{${info.linkId}}`;
}

/** The file with an entry of its block allocation table set. */
export function withBatEntry(image: Uint8Array, index: number, value: number | bigint): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(image);
  bytes.set(u64(value), regionOffset(image, 0) + index * 8);
  return bytes;
}

/** A file that stands on a parent: `entries` go into its parent locator. */
export function differencing(
  image: Uint8Array,
  entries: Readonly<Record<string, string>>,
  kind: string = VHDX_PARENT,
): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(image);
  const table = regionOffset(image, 1);
  const view = viewOf(bytes);
  const count = view.getUint16(table + 10, true);
  const locator = parentLocator(entries, kind);
  const entry = table + 32 + count * 32;
  view.setUint16(table + 10, count + 1, true);
  bytes.set(guidBytes(PARENT_LOCATOR), entry);
  view.setUint32(entry + 16, LOCATOR_AT, true);
  view.setUint32(entry + 20, locator.length, true);
  view.setUint32(entry + 24, 4, true);
  bytes.set(locator, table + LOCATOR_AT);
  view.setUint32(itemAt(image, FILE_PARAMETERS) + 4, 2, true);
  return bytes;
}

function parentLocator(entries: Readonly<Record<string, string>>, kind: string): Uint8Array {
  const pairs = Object.entries(entries).map((pair) => pair.map((text) => Buffer.from(text, 'utf16le')));
  const texts = pairs.flat();
  const head = Buffer.alloc(20 + pairs.length * 12);
  head.set(guidBytes(kind));
  head.writeUInt16LE(pairs.length, 18);
  let at = head.length;
  for (const [i, [key = Buffer.alloc(0), value = Buffer.alloc(0)]] of pairs.entries()) {
    const entry = 20 + i * 12;
    head.writeUInt32LE(at, entry);
    head.writeUInt32LE(at + key.length, entry + 4);
    head.writeUInt16LE(key.length, entry + 8);
    head.writeUInt16LE(value.length, entry + 10);
    at += key.length + value.length;
  }
  return Buffer.concat([head, ...texts]);
}

/** A change that a log entry holds: 4 KiB of data, or zeros. */
export interface TestUpdate {
  readonly at: number | bigint;
  readonly data?: Uint8Array;
  readonly zeros?: number | bigint;
}

export interface TestEntry {
  readonly sequence: number | bigint;
  readonly tail: number;
  readonly updates: readonly TestUpdate[];
  readonly flushed?: number | bigint;
  readonly guid?: string;
}

export const LOG_GUID = '11112222-3333-4444-8555-666677778888';

/** The bytes of a log entry. [MS-VHDX] 2.3.1. */
export function logEntry(entry: TestEntry): Uint8Array<ArrayBuffer> {
  const { updates, sequence } = entry;
  const sectorsAt = Math.ceil((64 + updates.length * 32) / LOG_SECTOR) * LOG_SECTOR;
  const dataCount = updates.filter(({ data }) => data !== undefined).length;
  const bytes = new Uint8Array(sectorsAt + dataCount * LOG_SECTOR);
  const view = viewOf(bytes);
  bytes.set(Buffer.from('loge'));
  view.setUint32(8, bytes.length, true);
  view.setUint32(12, entry.tail, true);
  bytes.set(u64(sequence), 16);
  view.setUint32(24, updates.length, true);
  bytes.set(guidBytes(entry.guid ?? LOG_GUID), 32);
  bytes.set(u64(entry.flushed ?? 0), 48);
  bytes.set(u64(entry.flushed ?? 0), 56);
  let sectorAt = sectorsAt;
  for (const [i, { at, data, zeros }] of updates.entries()) {
    const descriptor = 64 + i * 32;
    bytes.set(Buffer.from(data === undefined ? 'zero' : 'desc'), descriptor);
    bytes.set(u64(at), descriptor + 16);
    bytes.set(u64(sequence), descriptor + 24);
    if (data === undefined) {
      bytes.set(u64(zeros ?? 0), descriptor + 8);
      continue;
    }
    bytes.set(data.subarray(0, 8), descriptor + 8);
    bytes.set(data.subarray(4092, 4096), descriptor + 4);
    bytes.set(data, sectorAt);
    bytes.set(Buffer.from('data'), sectorAt);
    view.setUint32(sectorAt + 4, Number(BigInt(sequence) >> 32n), true);
    view.setUint32(sectorAt + 4092, Number(BigInt(sequence) & 0xffffffffn), true);
    sectorAt += LOG_SECTOR;
  }
  view.setUint32(4, crc32c(bytes), true);
  return bytes;
}

/** The file with bytes put into its log ring at those places, and a header that says the log is to be replayed. */
export function withLog(
  image: Uint8Array,
  pieces: readonly (readonly [at: number, bytes: Uint8Array])[],
  guid: string = LOG_GUID,
): Uint8Array<ArrayBuffer> {
  const dirty = resummed(image, HEADER, 48, guidBytes(guid));
  const view = viewOf(dirty);
  const length = view.getUint32(65536 + 68, true);
  const offset = view.getUint32(65536 + 72, true);
  for (const [at, bytes] of pieces) {
    for (let i = 0; i < bytes.length; i++) dirty[offset + ((at + i) % length)] = bytes[i] ?? 0;
  }
  return dirty;
}
