import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import type { Codecs } from '../../bytes/codecs.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { DiskImage, ImageInfo } from '../../image/disk-image.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import type { CloopHeader } from './header.ts';
import { OFFSETS_AT } from './header.ts';

/** A stored block may be this much larger than a block: zlib adds a few bytes to what does not shrink. */
const MAX_STORED_GROWTH = 64 * 1024;

interface Blocks {
  readonly source: ByteSource;
  readonly header: CloopHeader;
  /** Byte offset of each block, and of the end of the last. */
  readonly offsets: Float64Array;
  readonly codecs: Codecs;
}

/**
 * The disk behind a header that has been examined and found whole. Throws `corrupt` for offsets that do not ascend,
 * `truncated` when the file ends before its last block.
 */
export async function openCloop(
  source: ByteSource,
  header: CloopHeader,
  about: { readonly info: ImageInfo; readonly codecs: Codecs },
): Promise<DiskImage> {
  const blocks = { source, header, offsets: await readOffsets(source, header), codecs: about.codecs };
  const decoded = { block: -1, bytes: new Uint8Array(0) };
  return mappedImage(source, about.info, {
    run: async (offset, end) => ({ state: 'data', length: end - offset, compressed: true }),
    async readEncoded(offset, into, signal) {
      for (let done = 0; done < into.length;) {
        const block = Math.floor((offset + done) / header.blockSize);
        if (decoded.block !== block) {
          const bytes = await decodeBlock(blocks, block, signal);
          Object.assign(decoded, { block, bytes });
        }
        const within = (offset + done) % header.blockSize;
        const length = Math.min(header.blockSize - within, into.length - done);
        into.set(decoded.bytes.subarray(within, within + length), done);
        done += length;
      }
    },
  });
}

async function readOffsets(source: ByteSource, header: CloopHeader): Promise<Float64Array> {
  const bytes = await readBytes(source, OFFSETS_AT, (header.blockCount + 1) * 8);
  const fields = fieldReader(bytes, 'big', { format: 'cloop', structure: 'block offsets', offset: OFFSETS_AT });
  const offsets = Float64Array.from({ length: header.blockCount + 1 }, (_, i) => fields.u64(i * 8, 'block offset'));
  let previous = OFFSETS_AT + bytes.length;
  for (const [index, offset] of offsets.entries()) {
    const isPossible = offset >= previous && (index === 0 || offset - previous <= maxStored(header));
    if (!isPossible) throw blockError('corrupt', `Block offset ${index} is ${offset}, after ${previous}`, index);
    previous = offset;
  }
  if (previous > source.size) {
    throw blockError('truncated', `Blocks lie up to byte ${previous}, but the file ends at ${source.size}`, 0);
  }
  return offsets;
}

function maxStored(header: CloopHeader): number {
  return header.blockSize + MAX_STORED_GROWTH;
}

async function decodeBlock(blocks: Blocks, block: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const { offsets, header } = blocks;
  const start = offsets[block] ?? 0;
  const input = new Uint8Array((offsets[block + 1] ?? start) - start);
  await blocks.source.read(start, input, signal);
  const bytes = new Uint8Array(header.blockSize);
  if (blocks.codecs.decompress('zlib', input, bytes) === header.blockSize) return bytes;
  throw blockError('corrupt', `Block ${block} does not hold ${header.blockSize} bytes`, block);
}

function blockError(code: 'corrupt' | 'truncated', message: string, index: number): ImageError {
  return new ImageError(code, message, { format: 'cloop', structure: 'block offsets', offset: OFFSETS_AT + index * 8 });
}
