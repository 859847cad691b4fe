import { alignUp, asciiField, ascii, fieldReader } from '../../bytes/numbers.ts';
import { assert } from '../../errors.ts';
import type { HeaderCluster } from './header.ts';
import { decodeName } from './header.ts';
import { MAX_FILE_NAME_LENGTH, MAX_FORMAT_NAME_LENGTH, MAX_HEADER_EXTENSIONS } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';

const END = 0;
/** Type of the backing format name. */
export const BACKING_FORMAT: number = 0xe2792aca;
/** Type of the feature name table. */
export const FEATURE_NAMES: number = 0x6803f857;
/** Type of the bitmaps extension. */
export const BITMAPS: number = 0x23852875;
const ENCRYPTION_HEADER = 0x0537be77;
/** Type of the data file's name. */
export const DATA_FILE_NAME: number = 0x44415441;

const NAMES: ReadonlyMap<number, string> = new Map([
  [BACKING_FORMAT, 'backing file format'],
  [FEATURE_NAMES, 'feature name table'],
  [BITMAPS, 'bitmaps'],
  [ENCRYPTION_HEADER, 'encryption header'],
  [DATA_FILE_NAME, 'data file name'],
]);

const EXTENSION_HEAD_LENGTH = 8;
const FEATURE_NAME_LENGTH = 48;
const BITMAPS_LENGTH = 24;
const ENCRYPTION_HEADER_LENGTH = 16;

/** One header extension as it lies in the file. */
export interface HeaderExtension {
  readonly type: number;
  /** The specification's name for the type, or undefined when it has none. */
  readonly name: string | undefined;
  /** Byte offset of the extension in the file. */
  readonly offset: number;
  readonly data: Uint8Array;
}

/** What the bitmaps extension says. qcow2 specification, "Bitmaps extension". */
export interface BitmapsExtension {
  readonly count: number;
  readonly directorySize: number;
  readonly directoryOffset: number;
}

/** Where the encryption header lies. qcow2 specification, "Full disk encryption header pointer". */
export interface EncryptionHeaderPointer {
  readonly offset: number;
  readonly length: number;
}

/** All header extensions, the known ones parsed. */
export interface HeaderExtensions {
  readonly all: readonly HeaderExtension[];
  readonly backingFormat?: string;
  readonly dataFileName?: string;
  readonly bitmaps?: BitmapsExtension;
  readonly encryptionHeader?: EncryptionHeaderPointer;
  /** The names of feature bits: key `<kind>:<bit>`, kind 0 incompatible, 1 compatible, 2 autoclear. */
  readonly featureNames: ReadonlyMap<string, string>;
}

/** Parses the extensions between the header and the backing file name. Throws `corrupt` or `truncated`. */
export function parseHeaderExtensions(cluster: HeaderCluster): HeaderExtensions {
  const all = splitExtensions(cluster);
  const only = (type: number): HeaderExtension | undefined => all.find((extension) => extension.type === type);
  const backingFormat = only(BACKING_FORMAT);
  const dataFileName = only(DATA_FILE_NAME);
  const bitmaps = only(BITMAPS);
  const encryptionHeader = only(ENCRYPTION_HEADER);
  return {
    all,
    ...(backingFormat === undefined ? {} : { backingFormat: text(backingFormat, MAX_FORMAT_NAME_LENGTH) }),
    ...(dataFileName === undefined ? {} : { dataFileName: text(dataFileName, MAX_FILE_NAME_LENGTH) }),
    ...(bitmaps === undefined ? {} : { bitmaps: parseBitmaps(bitmaps) }),
    ...(encryptionHeader === undefined ? {} : { encryptionHeader: parseEncryptionHeader(encryptionHeader) }),
    featureNames: parseFeatureNames(only(FEATURE_NAMES)),
  };
}

function splitExtensions(cluster: HeaderCluster): HeaderExtension[] {
  const { header, bytes } = cluster;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(header.backingFileOffset || 2 ** header.clusterBits, 2 ** header.clusterBits);
  const all: HeaderExtension[] = [];
  let offset = header.headerLength;
  while (offset + EXTENSION_HEAD_LENGTH <= end) {
    if (offset + EXTENSION_HEAD_LENGTH > bytes.length) throw broken('truncated', 'The file ends inside them', offset);
    const type = view.getUint32(offset);
    if (type === END) break;
    const length = view.getUint32(offset + 4);
    const start = offset + EXTENSION_HEAD_LENGTH;
    if (length > end - start) throw broken('corrupt', `One of ${length} bytes leaves their area`, offset);
    if (start + length > bytes.length) throw broken('truncated', 'The file ends inside them', offset);
    if (all.length >= MAX_HEADER_EXTENSIONS)
      throw broken('corrupt', `There are more than ${MAX_HEADER_EXTENSIONS}`, offset);
    const name = NAMES.get(type);
    if (name !== undefined && all.some((extension) => extension.type === type)) {
      throw broken('corrupt', `There are two of type "${name}"`, offset);
    }
    all.push({ type, name, offset, data: bytes.subarray(start, start + length) });
    offset = start + alignUp(length, 8);
  }
  return all;
}

function broken(code: 'corrupt' | 'truncated', how: string, offset: number): Error {
  return qcow2Error(code, `The header extensions are damaged: ${how}`, { structure: 'header extensions', offset });
}

function text(extension: HeaderExtension, maxLength: number): string {
  if (extension.data.length > maxLength) {
    throw broken('corrupt', `The ${extension.name} has ${extension.data.length} bytes`, extension.offset);
  }
  return decodeName(extension.data);
}

function parseBitmaps(extension: HeaderExtension): BitmapsExtension {
  expectLength(extension, BITMAPS_LENGTH);
  const fields = fieldReader(extension.data, 'big', {
    format: 'qcow2',
    structure: 'bitmaps extension',
    offset: extension.offset + EXTENSION_HEAD_LENGTH,
  });
  return {
    count: fields.u32(0),
    directorySize: fields.u64(8, 'bitmap_directory_size'),
    directoryOffset: fields.u64(16, 'bitmap_directory_offset'),
  };
}

function parseEncryptionHeader(extension: HeaderExtension): EncryptionHeaderPointer {
  expectLength(extension, ENCRYPTION_HEADER_LENGTH);
  const fields = fieldReader(extension.data, 'big', {
    format: 'qcow2',
    structure: 'encryption header pointer',
    offset: extension.offset + EXTENSION_HEAD_LENGTH,
  });
  return { offset: fields.u64(0, 'offset'), length: fields.u64(8, 'length') };
}

function expectLength(extension: HeaderExtension, length: number): void {
  if (extension.data.length === length) return;
  throw broken('corrupt', `The ${extension.name} has ${extension.data.length} bytes, not ${length}`, extension.offset);
}

function parseFeatureNames(extension: HeaderExtension | undefined): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const data = extension?.data ?? new Uint8Array();
  for (let at = 0; at + FEATURE_NAME_LENGTH <= data.length; at += FEATURE_NAME_LENGTH) {
    const name = asciiField(data.subarray(at + 2, at + FEATURE_NAME_LENGTH));
    if (name !== '') names.set(`${data[at]}:${data[at + 1]}`, name);
  }
  return names;
}

/** One line of a feature name table. */
export interface FeatureName {
  /** 0 incompatible, 1 compatible, 2 autoclear. */
  readonly kind: number;
  readonly bit: number;
  readonly name: string;
}

/** A header extension to be written. */
export interface ExtensionDraft {
  readonly type: number;
  readonly data: Uint8Array;
}

/** The extension's bytes, padded to a multiple of 8. */
export function encodeExtension({ type, data }: ExtensionDraft): Uint8Array {
  const bytes = new Uint8Array(EXTENSION_HEAD_LENGTH + alignUp(data.length, 8));
  const view = new DataView(bytes.buffer);
  assert(type !== END, 'the end marker is no extension');
  view.setUint32(0, type);
  view.setUint32(4, data.length);
  bytes.set(data, EXTENSION_HEAD_LENGTH);
  return bytes;
}

/**
 * A feature name table as a header extension, followed by the end marker; the marker alone when there are no names.
 * Names of at most 46 ASCII characters.
 */
export function encodeFeatureNameTable(features: readonly FeatureName[]): Uint8Array {
  if (features.length === 0) return new Uint8Array(EXTENSION_HEAD_LENGTH);
  const length = features.length * FEATURE_NAME_LENGTH;
  const bytes = new Uint8Array(EXTENSION_HEAD_LENGTH + length + EXTENSION_HEAD_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FEATURE_NAMES);
  view.setUint32(4, length);
  for (const [index, feature] of features.entries()) {
    const at = EXTENSION_HEAD_LENGTH + index * FEATURE_NAME_LENGTH;
    bytes[at] = feature.kind;
    bytes[at + 1] = feature.bit;
    bytes.set(ascii(feature.name), at + 2);
  }
  return bytes;
}
