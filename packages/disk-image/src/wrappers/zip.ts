import { bunzip2 } from '../bytes/bzip2.ts';
import { crc32Continued } from '../bytes/crc32.ts';
import { inflateStream } from '../bytes/inflate-stream.ts';
import type { ByteStream, InputWindow } from '../bytes/input-window.ts';
import { unxz } from '../bytes/xz.ts';
import { shownName } from './member-name.ts';
import type { WrapperPorts } from './ports.ts';
import type { ZipMember } from './zip-directory.ts';
import { zipError } from './zip-directory.ts';
import { unzstd } from './zstd.ts';

/** Compression methods. APPNOTE 4.4.5. */
const STORED = 0;
const DEFLATED = 8;
const BZIP2 = 12;
const ZSTD = 93;
const XZ = 95;
const METHOD_NAMES: Readonly<Record<number, string>> = { 1: 'shrinking', 6: 'imploding', 9: 'Deflate64', 14: 'LZMA' };
const PIECE_BYTES = 256 * 1024;

/** The content of a member from its packed bytes, not yet held against its size and checksum. */
export function zipMemberStream(
  input: InputWindow,
  member: ZipMember,
  ports: WrapperPorts,
): { readonly isStored: boolean; readonly stream: ByteStream } {
  const { method } = member;
  if (method === STORED) return { isStored: true, stream: storedBytes(input) };
  const stream = unpacked(input, method, ports);
  if (stream !== undefined) return { isStored: false, stream: wholeInput(stream, input, member) };
  const name = METHOD_NAMES[method] ?? `method ${method}`;
  throw zipError(
    'unsupported',
    `${shownName(member.name)} is packed by ${name}, which is not read`,
    member.headerOffset,
  );
}

function unpacked(input: InputWindow, method: number, ports: WrapperPorts): ByteStream | undefined {
  if (method === DEFLATED) return inflateStream(input);
  if (method === BZIP2) return bunzip2(input);
  if (method === ZSTD) return unzstd(input, ports);
  return method === XZ ? unxz(input) : undefined;
}

async function* storedBytes(input: InputWindow): AsyncGenerator<Uint8Array> {
  while (!input.atEnd()) {
    const bytes = await input.peek(1);
    const piece = bytes.subarray(0, PIECE_BYTES);
    yield piece;
    input.consume(piece.length);
  }
}

async function* wholeInput(stream: ByteStream, input: InputWindow, member: ZipMember): AsyncGenerator<Uint8Array> {
  yield* stream;
  if (input.atEnd()) return;
  throw zipError('corrupt', `Something follows the packed bytes of ${shownName(member.name)}`, member.headerOffset);
}

/** The same bytes; throws `corrupt` at the end, or as soon as they are too many, when they are not what the directory says. */
export async function* checkedMember(stream: ByteStream, member: ZipMember): AsyncGenerator<Uint8Array> {
  let crc = 0;
  let length = 0;
  for await (const piece of stream) {
    crc = crc32Continued(crc, piece);
    length += piece.length;
    if (length > member.size) break;
    yield piece;
  }
  if (length === member.size && crc === member.crc) return;
  throw zipError('corrupt', `${shownName(member.name)} does not match its size and checksum`, member.headerOffset);
}
