import type { ByteSource } from '../bytes/byte-source.ts';
import { bunzip2 } from '../bytes/bzip2.ts';
import type { ByteStream, InputWindow } from '../bytes/input-window.ts';
import { inputWindow } from '../bytes/input-window.ts';
import { subSource } from '../bytes/sub-source.ts';
import { unxz } from '../bytes/xz.ts';
import { assert, ImageError } from '../errors.ts';
import { gunzip } from './gzip.ts';
import type { WrapperLimits } from './limits.ts';
import { DEFAULT_WRAPPER_LIMITS, limitedStream } from './limits.ts';
import { chosenMember } from './member-name.ts';
import { diskOfPackage, hasDescriptor } from './ova.ts';
import type { WrapperPorts } from './ports.ts';
import { portablePorts } from './ports.ts';
import { readTar } from './tar.ts';
import type { StoredPiece } from './tar-sparse.ts';
import type { WrapperKind } from './wrapper-kind.ts';
import { checkedMember, zipMemberStream } from './zip.ts';
import { packedOffset, readZipDirectory } from './zip-directory.ts';
import { unzstd } from './zstd.ts';

/** How a container is opened. */
export interface WrapperOptions {
  readonly limits?: Partial<WrapperLimits>;
  readonly ports?: WrapperPorts;
  /** The file to take from an archive: its name, or the id of a disk of an OVF package. */
  readonly entry?: string;
  readonly signal?: AbortSignal;
}

/** What a container holds: a part of the source as it is, several parts, or bytes that must be unpacked from front to end. */
export type Unwrapped =
  | { readonly placement: 'range'; readonly name: string; readonly offset: number; readonly length: number }
  | {
      /** A file with holes: the pieces lie in the source as they are, between them are zeros. */
      readonly placement: 'pieces';
      readonly name: string;
      readonly length: number;
      readonly pieces: readonly StoredPiece[];
    }
  | {
      readonly placement: 'stream';
      /** Its name in an archive. */
      readonly name?: string;
      /** Its length in bytes, when an archive says so; the stream is held to it. */
      readonly length?: number;
      /** Can be read once; throws `truncated`, `corrupt`, `unsupported`, `unsafe` on the way. */
      readonly bytes: ByteStream;
      /** Bytes of the source consumed so far. */
      consumed(): number;
    };

/**
 * What is inside `source`, which is a container of that kind. The source stays open, and the result needs it. A file that
 * an archive stores as it is has been held against its checksum, a disk of an OVF package against the manifest.
 * Throws as the container deserves: `truncated`, `corrupt`, `unsafe`, `unsupported`, and `out_of_bounds` for an entry that
 * is not there.
 */
export async function openWrapper(
  source: ByteSource,
  kind: WrapperKind,
  options: WrapperOptions = {},
): Promise<Unwrapped> {
  const ports = options.ports ?? portablePorts;
  switch (kind) {
    case 'gz':
      return streamed(source, gunzip, options);
    case 'zst':
      return streamed(source, (input) => unzstd(input, ports), options);
    case 'xz':
      return streamed(source, unxz, options);
    case 'bz2':
      return streamed(source, bunzip2, options);
    case 'zip':
      return openZip(source, ports, options);
    case 'tar':
    case 'ova':
      return openTar(source, ports, options);
    case 'lz4':
      throw new ImageError('unsupported', 'The file is packed with lz4, which is not read; unpack it with lz4 first');
    default:
      throw new Error(`assertion failed: ${String(kind)} is a kind of wrapper`);
  }
}

function streamed(source: ByteSource, unpack: (input: InputWindow) => ByteStream, options: WrapperOptions): Unwrapped {
  if (options.entry !== undefined) {
    throw new ImageError('out_of_bounds', `A compressed file has no entries, so ${options.entry} cannot be chosen`);
  }
  const input = inputWindow(source, options.signal);
  const bytes = limitedStream(unpack(input), input, limitsOf(options));
  return { placement: 'stream', bytes, consumed: () => input.position };
}

function limitsOf(options: WrapperOptions): WrapperLimits {
  return { ...DEFAULT_WRAPPER_LIMITS, ...options.limits };
}

async function openTar(source: ByteSource, ports: WrapperPorts, options: WrapperOptions): Promise<Unwrapped> {
  const members = await readTar(source);
  const { entry: wanted, signal } = options;
  const member = hasDescriptor(members)
    ? await diskOfPackage(source, members, { wanted, ports, signal })
    : chosenMember(members, wanted);
  const { name, size: length, pieces } = member;
  if (pieces === undefined) return { placement: 'range', name, offset: member.offset, length };
  const { maxOutputBytes } = limitsOf(options);
  if (length <= maxOutputBytes) return { placement: 'pieces', name, length, pieces };
  throw new ImageError('unsafe', `The archive's file has ${length} bytes; at most ${maxOutputBytes} are accepted`);
}

async function openZip(source: ByteSource, ports: WrapperPorts, options: WrapperOptions): Promise<Unwrapped> {
  const directory = await readZipDirectory(source);
  const member = chosenMember(directory.members, options.entry);
  const offset = await packedOffset(source, directory, member);
  const packed = subSource(source, offset, member.packedSize);
  const input = inputWindow(packed, options.signal);
  const { isStored, stream } = zipMemberStream(input, member, ports);
  if (isStored) {
    for await (const piece of checkedMember(stream, member)) assert(piece.length > 0, 'a piece is not empty');
    return { placement: 'range', name: member.name, offset, length: member.size };
  }
  const bytes = limitedStream(checkedMember(stream, member), input, limitsOf(options));
  return { placement: 'stream', name: member.name, length: member.size, bytes, consumed: () => input.position };
}
