import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { ByteSource, ProgressMeter } from '@diskmorph/disk-image';
import { ImageError, progressMeter, readBytes, throwIfAborted } from '@diskmorph/disk-image';
import type { FileWork } from './digest-file.ts';
import { openFileSource } from './file-source.ts';
import type { StoredRegion } from './gnu-tar-header.ts';
import { sparseMemberHeader, TAR_BLOCK } from './gnu-tar-header.ts';
import { ioError } from './io-error.ts';
import { nodeCodecs } from './native-codecs.ts';

/** Runs of zeros are left out in pieces of this size: smaller ones cost little once compressed, and the map stays small. */
const PIECE_BYTES: number = 2 ** 20;
/** The archive ends with two blocks of zeros. */
const END_OF_ARCHIVE: Uint8Array = new Uint8Array(2 * TAR_BLOCK);

/** What to pack: a raw disk of whole blocks of 512 bytes, and the archive to write. */
export interface DiskPacking {
  readonly diskPath: string;
  readonly archivePath: string;
  /** The disk's name in the archive. */
  readonly memberName: string;
}

/**
 * Packs a raw disk as the one member of a gzip-compressed tar in the old GNU format, pieces of zeros left out: what
 * `tar --format=oldgnu -Sczf` makes, without times and owner, so that equal disks give equal bytes wherever they have
 * holes. Throws `io` and `aborted`; what was written then is the caller's to remove.
 */
export async function packDisk(packing: DiskPacking, work: Omit<FileWork, 'workers'> = {}): Promise<void> {
  const disk = await openFileSource(packing.diskPath);
  try {
    if (disk.size % TAR_BLOCK !== 0) {
      throw new ImageError('unsupported', `A disk of ${disk.size} bytes is not packed: it ends inside a sector`);
    }
    const regions = await dataRegions(disk, work.signal);
    const stored = regions.reduce((sum, { length }) => sum + length, 0);
    const meter = progressMeter('pack', stored, { now: () => performance.now(), onProgress: work.onProgress });
    const bytes = Readable.from(archiveBytes(disk, packing.memberName, { regions, meter }), { objectMode: false });
    const options = work.signal === undefined ? {} : { signal: work.signal };
    await pipeline(bytes, createGzip(), createWriteStream(packing.archivePath, { flush: true }), options);
    meter.finish();
  } catch (error) {
    throwIfAborted(work.signal);
    throw ioError('Cannot write the archive', error);
  } finally {
    await disk.close();
  }
}

async function dataRegions(disk: ByteSource, signal: AbortSignal | undefined): Promise<StoredRegion[]> {
  const codecs = nodeCodecs();
  const piece = new Uint8Array(PIECE_BYTES);
  const regions: StoredRegion[] = [];
  for (let offset = nextPiece(disk, 0); offset < disk.size; offset = nextPiece(disk, offset + PIECE_BYTES)) {
    const part = piece.subarray(0, Math.min(PIECE_BYTES, disk.size - offset));
    await disk.read(offset, part, signal);
    if (codecs.isZero(part)) continue;
    const last = regions.at(-1);
    if (last !== undefined && last.offset + last.length === offset) {
      regions[regions.length - 1] = { ...last, length: last.length + part.length };
    } else {
      regions.push({ offset, length: part.length });
    }
  }
  return regions;
}

/** The first piece at or after `offset` in which the file has data. */
function nextPiece(disk: ByteSource, offset: number): number {
  if (disk.holes === undefined || offset >= disk.size) return offset;
  const found = disk.holes.nextData(offset);
  return found === undefined ? disk.size : Math.max(offset, Math.floor(found.start / PIECE_BYTES) * PIECE_BYTES);
}

async function* archiveBytes(
  disk: ByteSource,
  memberName: string,
  { regions, meter }: { readonly regions: readonly StoredRegion[]; readonly meter: ProgressMeter },
): AsyncGenerator<Uint8Array> {
  yield sparseMemberHeader(memberName, disk.size, regions);
  let done = 0;
  for (const { offset, length } of regions) {
    for (let at = offset; at < offset + length; at += PIECE_BYTES) {
      const part = await readBytes(disk, at, Math.min(PIECE_BYTES, offset + length - at));
      yield part;
      meter.update((done += part.length));
    }
  }
  yield END_OF_ARCHIVE;
}
