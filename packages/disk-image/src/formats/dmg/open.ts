import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { bunzip2Into } from '../../bytes/bzip2.ts';
import type { Codecs } from '../../bytes/codecs.ts';
import { unxzInto } from '../../bytes/xz.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import type { GuestMap, GuestRun } from '../../image/mapped-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { Chunk } from './block-table.ts';
import { CHUNK, chunksOf, isEncoded } from './block-table.ts';
import { dmgError } from './dmg-error.ts';
import { blockTablesOfPropertyList } from './property-list.ts';
import { blockTablesOfResourceFork } from './resource-fork.ts';
import type { UdifTrailer } from './trailer.ts';

/**
 * The disk behind a trailer that has been examined and found whole. Throws `corrupt`, `unsupported`, `unsafe` for what its
 * block tables say, `truncated` for a chunk beyond the end of the data.
 */
export async function openDmg(
  source: ByteSource,
  trailer: UdifTrailer,
  about: { readonly info: ImageInfo; readonly codecs: Codecs },
): Promise<DiskImage> {
  const place = { dataOffset: trailer.dataForkOffset, diskSize: trailer.diskSize };
  const chunks = chunksOf(await readBlockTables(source, trailer), place);
  for (const chunk of chunks) checkInFile(trailer, chunk);
  return mappedImage(source, about.info, chunkMap(source, chunks, about.codecs));
}

async function readBlockTables(source: ByteSource, trailer: UdifTrailer): Promise<readonly Uint8Array[]> {
  if (trailer.propertyListLength > 0) {
    const { propertyListOffset, propertyListLength } = trailer;
    return blockTablesOfPropertyList(await readBytes(source, propertyListOffset, propertyListLength));
  }
  const { resourceForkOffset, resourceForkLength } = trailer;
  if (resourceForkLength === 0) throw dmgError('corrupt', 'The image has no block tables', 'trailer');
  return blockTablesOfResourceFork(await readBytes(source, resourceForkOffset, resourceForkLength));
}

function checkInFile(trailer: UdifTrailer, chunk: Chunk): void {
  const end = chunk.hostOffset + chunk.hostLength;
  const isStored = isEncoded(chunk) || chunk.type === CHUNK.raw;
  if (!isStored || end <= trailer.at) return;
  const message = `A chunk lies up to byte ${end}, but the data ends at ${trailer.at}`;
  throw dmgError('truncated', message, 'block table', { offset: trailer.at });
}

function chunkMap(source: ByteSource, chunks: readonly Chunk[], codecs: Codecs): GuestMap {
  const decoded: { chunk: Chunk | undefined; bytes: Uint8Array } = { chunk: undefined, bytes: new Uint8Array(0) };
  return {
    async run(offset, end): Promise<GuestRun> {
      const chunk = chunkAt(chunks, offset);
      const within = offset - chunk.guestOffset;
      const length = Math.min(end - offset, chunk.guestLength - within);
      if (isEncoded(chunk)) return { state: 'data', length, compressed: true };
      if (chunk.type !== CHUNK.raw) return { state: 'zero', length };
      return { state: 'data', length, hostOffset: chunk.hostOffset + within };
    },
    async readEncoded(offset, into, signal) {
      const chunk = chunkAt(chunks, offset);
      if (decoded.chunk !== chunk) {
        const bytes = await decodeChunk(source, chunk, { codecs, signal });
        Object.assign(decoded, { chunk, bytes });
      }
      const within = offset - chunk.guestOffset;
      into.set(decoded.bytes.subarray(within, within + into.length));
    },
  };
}

/** The chunk that holds the guest byte: chunks cover the disk. */
function chunkAt(chunks: readonly Chunk[], offset: number): Chunk {
  let low = 0;
  let high = chunks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((chunks[middle]?.guestOffset ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  const chunk = chunks[low];
  if (chunk === undefined) throw dmgError('out_of_bounds', `No chunk holds the byte ${offset}`, 'block table');
  return chunk;
}

async function decodeChunk(
  source: ByteSource,
  chunk: Chunk,
  how: { readonly codecs: Codecs; readonly signal: AbortSignal | undefined },
): Promise<Uint8Array> {
  const input = new Uint8Array(chunk.hostLength);
  await source.read(chunk.hostOffset, input, how.signal);
  const bytes = new Uint8Array(chunk.guestLength);
  const length = await decodeInto(chunk.type, { input, bytes }, how.codecs);
  if (length === bytes.length) return bytes;
  throw dmgError('corrupt', `A chunk holds ${length} bytes instead of ${bytes.length}`, 'chunk', {
    offset: chunk.hostOffset,
  });
}

async function decodeInto(
  type: number,
  data: { readonly input: Uint8Array; readonly bytes: Uint8Array },
  codecs: Codecs,
): Promise<number> {
  if (type === CHUNK.bzip2) return bunzip2Into(data.input, data.bytes);
  if (type === CHUNK.lzma) return unxzInto(data.input, data.bytes);
  return codecs.decompress('zlib', data.input, data.bytes);
}
