import type { ByteSource } from '../bytes/byte-source.ts';
import { checkInside, readBytes } from '../bytes/byte-source.ts';
import { alignUp } from '../bytes/numbers.ts';
import { ImageError } from '../errors.ts';
import type { Member } from './member-name.ts';
import { checkUnique, safeName, shownName } from './member-name.ts';
import type { TarExtension } from './pax-header.ts';
import { paxExtension } from './pax-header.ts';
import type { TarHeader } from './tar-header.ts';
import { parseTarHeader, TAR_BLOCK, tarError } from './tar-header.ts';
import type { SparseFile, StoredPiece } from './tar-sparse.ts';
import { readPaxSparseMap, readSparseMap } from './tar-sparse.ts';

/** A regular file, stored as it is or with its holes left out. */
export interface TarMember extends Member {
  /** Byte offset of its content in the archive. */
  readonly offset: number;
  /** What is stored, when there are holes. */
  readonly pieces?: readonly StoredPiece[];
}

const MAX_MEMBERS = 100_000;
/** A pax header or a long name. */
const MAX_EXTENSION_BYTES = 1024 * 1024;
/** Zeros after the end: archives are padded to records of at most this. */
const MAX_PADDING_BYTES = 1024 * 1024;
const END_BLOCKS = 2;
/** What a member may be beside a regular file, by its type. */
const UNSAFE_TYPES: Readonly<Record<string, string>> = {
  1: 'a hard link',
  2: 'a symbolic link',
  3: 'a character device',
  4: 'a block device',
  6: 'a named pipe',
};
const SPARSE = 'S';
const REGULAR_TYPES = '07S';
const DIRECTORY_TYPES = '5D';
const VOLUME_LABEL = 'V';

/**
 * The regular files of the archive. Its content is not read. Throws `corrupt`, `truncated` (also without the two blocks of
 * zeros at its end), `unsafe` for links, devices and names that leave the archive, `unsupported` for sparse members in the
 * older pax formats.
 */
export async function readTar(source: ByteSource): Promise<readonly TarMember[]> {
  const members: TarMember[] = [];
  let extension: TarExtension = {};
  let at = 0;
  for (let count = 0; ; count++) {
    if (count > MAX_MEMBERS) throw tarError('unsafe', `The archive has over ${MAX_MEMBERS} members`, at);
    checkInside(source.size, at, TAR_BLOCK);
    const block = await readBytes(source, at, TAR_BLOCK);
    const header = parseTarHeader(block, at);
    if (header === undefined) break;
    const isExtension = 'xgLK'.includes(header.type);
    const size = isExtension ? header.size : (extension.size ?? header.size);
    checkInside(source.size, at + TAR_BLOCK, size);
    const sparse = isExtension ? undefined : await sparseFile(source, { header, block, extension, at, size });
    const content = sparse?.content ?? at + TAR_BLOCK;
    if (isExtension) extension = { ...extension, ...(await readExtension(source, header, content)) };
    if (!isExtension) {
      const name = extension.name ?? header.name;
      const stored = sparse === undefined ? { size } : { size: sparse.size, pieces: sparse.pieces };
      if (isRegular(header, name, at)) members.push({ name: safeName(name), offset: content, ...stored });
      extension = {};
    }
    at = content + alignUp(sparse?.stored ?? size, TAR_BLOCK);
  }
  await checkEnd(source, at);
  checkUnique(members);
  return members;
}

/** What the member leaves out, when it is a file with holes. */
async function sparseFile(
  source: ByteSource,
  member: {
    readonly header: TarHeader;
    readonly block: Uint8Array;
    readonly extension: TarExtension;
    readonly at: number;
    readonly size: number;
  },
): Promise<SparseFile | undefined> {
  const { at, size: stored, extension, header } = member;
  if (header.type === SPARSE) return readSparseMap(source, member.block, { at, stored });
  const { sparseSize } = extension;
  return sparseSize === undefined ? undefined : readPaxSparseMap(source, { at, stored, size: sparseSize });
}

/** False for directories and labels. Throws `unsafe` or `unsupported` for what must not or can not be unpacked. */
function isRegular({ type }: TarHeader, name: string, at: number): boolean {
  if (DIRECTORY_TYPES.includes(type) || type === VOLUME_LABEL) {
    if (type !== VOLUME_LABEL && !/^(?:\.\/*)+$/.test(name)) safeName(name.replace(/\/+$/, ''));
    return false;
  }
  if (REGULAR_TYPES.includes(type)) {
    if (!name.endsWith('/')) return true;
    safeName(name.replace(/\/+$/, ''));
    return false;
  }
  const unsafe = UNSAFE_TYPES[type];
  if (unsafe !== undefined) throw tarError('unsafe', `The archive's member ${shownName(name)} is ${unsafe}`, at);
  const what = `of the unknown type ${JSON.stringify(type)}`;
  throw tarError('unsupported', `The archive's member ${shownName(name)} is ${what}`, at);
}

/** A pax header (`x`, `g`) or a long name (`L`) or link target (`K`) of GNU tar. */
async function readExtension(source: ByteSource, header: TarHeader, at: number): Promise<TarExtension> {
  if (header.size > MAX_EXTENSION_BYTES) throw tarError('unsafe', `A header of ${header.size} bytes is too long`, at);
  checkInside(source.size, at, header.size);
  const bytes = await readBytes(source, at, header.size);
  if (header.type === 'K') return {};
  if (header.type === 'L') {
    const end = bytes.indexOf(0);
    return { name: new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)) };
  }
  return paxExtension(bytes, at, header.type === 'g' ? 'global' : 'next');
}

/** Two blocks of zeros close an archive; zeros up to a whole record may follow. */
async function checkEnd(source: ByteSource, at: number): Promise<void> {
  checkInside(source.size, at, END_BLOCKS * TAR_BLOCK);
  if (source.size - at > MAX_PADDING_BYTES) {
    throw new ImageError('corrupt', 'Something follows the end of the archive', { offset: at });
  }
  const rest = await readBytes(source, at, source.size - at);
  const found = rest.findIndex((byte) => byte !== 0);
  if (found >= 0) throw new ImageError('corrupt', 'Something follows the end of the archive', { offset: at + found });
}
