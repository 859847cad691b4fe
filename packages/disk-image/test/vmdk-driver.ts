/** Disks on real files for the VMDK tests: written by the conversion, opened by path, every opened name on record. */
import { execFile } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import type { ByteSink, ByteSource } from '../src/bytes/byte-source.ts';
import { checkInside } from '../src/bytes/byte-source.ts';
import { portableCodecs } from '../src/bytes/portable-codecs.ts';
import { convertImage } from '../src/convert/convert-image.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import { raw } from '../src/formats/raw/raw.ts';
import type { DiskImage, ImageInfo } from '../src/image/disk-image.ts';
import type { GivenOptions } from '../src/image/format.ts';
import { denyReferences } from '../src/image/reference.ts';
import type { ReferencePolicy } from '../src/image/reference.ts';
import type { TargetFile } from '../src/image/target.ts';

export const SUBFORMATS = [
  'monolithicSparse',
  'streamOptimized',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
] as const;

/** A piece of guest data: `bytes` at `offset`; everything else is zeros. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The same bytes for the same seed; half of them compress. */
export function noise(length: number, seed: number): Uint8Array {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Uint8Array.from({ length }, (_, i) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return i % 8192 < 4096 ? state & 0xff : (i >> 6) & 0xff;
  });
}

/** A raw file with the pieces at their places and holes between them, and a disk over it that knows the holes. */
export async function rawDisk(path: string, size: number, pieces: readonly Piece[]): Promise<DiskImage> {
  const file = await open(path, 'w+');
  await file.truncate(size);
  for (const piece of pieces) await file.write(piece.bytes, 0, piece.bytes.length, piece.offset);
  const source: ByteSource = {
    ...handleSource(file, size),
    holes: {
      nextData(offset) {
        for (const { offset: start, bytes } of pieces) {
          if (start + bytes.length > offset) return { start: Math.max(start, offset), end: start + bytes.length };
        }
        return undefined;
      },
    },
  };
  const { open: openRaw } = raw;
  if (openRaw === undefined) throw new Error('raw can be opened');
  return openRaw(source, { codecs: portableCodecs, references: denyReferences });
}

function handleSource(file: FileHandle, size: number): ByteSource {
  return {
    size,
    async read(offset, into) {
      checkInside(size, offset, into.length);
      const { bytesRead } = await file.read(into, 0, into.length, offset);
      if (bytesRead !== into.length) throw new Error(`short read of ${bytesRead} of ${into.length} bytes`);
    },
    close: () => file.close(),
  };
}

export async function fileSource(path: string): Promise<ByteSource> {
  const file = await open(path, 'r');
  return handleSource(file, (await file.stat()).size);
}

async function fileSink(path: string): Promise<ByteSink> {
  const file = await open(path, 'w');
  return {
    async write(offset, bytes) {
      await file.write(bytes, 0, bytes.length, offset);
    },
    zero: async () => {},
    truncate: (size) => file.truncate(size),
    flush: async () => {},
    close: () => file.close(),
  };
}

/** Writes `source` as a VMDK of the given options at `path`; its other files go beside it. */
export async function writeVmdk(path: string, source: DiskImage, options: GivenOptions): Promise<void> {
  const fileName = path.slice(dirname(path).length + 1);
  const sinks: ByteSink[] = [];
  const sinkOf = async (file: TargetFile): Promise<ByteSink> => {
    const sink = await fileSink(file.name === '' ? path : join(dirname(path), file.name));
    sinks.push(sink);
    return sink;
  };
  await convertImage({ source, target: vmdk, options, fileName, codecs: portableCodecs, sinkOf });
  await Promise.all(sinks.map((sink) => sink.close()));
}

/** Grants extents that lie beside `path`, and keeps every name asked for in `asked`. */
export function besides(path: string, asked: string[] = []): ReferencePolicy {
  return async (reference) => {
    asked.push(reference.name);
    const source = await fileSource(join(dirname(path), reference.name));
    return { source, identity: reference.name, references: denyReferences };
  };
}

export async function openVmdk(path: string, references: ReferencePolicy = besides(path)): Promise<DiskImage> {
  if (vmdk.open === undefined) throw new Error('vmdk can be opened');
  return vmdk.open(await fileSource(path), { codecs: portableCodecs, references });
}

/** What opening the disk at `path` says of it. */
export async function infoOf(path: string): Promise<ImageInfo> {
  const image = await openVmdk(path);
  await image.close();
  return image.info;
}

/** Runs qemu-img and gives its standard output; its messages become the error. */
export async function qemuImg(...args: string[]): Promise<string> {
  const program = await requireQemuImg();
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 2 ** 24 });
  return stdout;
}
