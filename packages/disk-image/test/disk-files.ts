/** Any writable format on real files: written by the conversion, opened by path. */
import type { FileHandle } from 'node:fs/promises';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { ByteSink, DiskImage, Format, GivenOptions } from '../src/index.ts';
import { convertImage, denyReferences, portableCodecs as codecs } from '../src/index.ts';
import type { Piece } from './vmdk-driver.ts';
import { fileSource, rawDisk } from './vmdk-driver.ts';

function fileSink(file: FileHandle): ByteSink {
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

/** Writes `source` as an image of one file at `path`. */
async function writeImage(
  path: string,
  source: DiskImage,
  how: { readonly target: Format; readonly options: GivenOptions },
): Promise<void> {
  const sink = fileSink(await open(path, 'w'));
  try {
    await convertImage({ ...how, source, fileName: basename(path), codecs, sinkOf: () => sink });
  } finally {
    await sink.close();
  }
}

/** Opens the image at `path` by its format's own reader, no other file allowed, for as long as `work` takes. */
export async function withImage<T>(path: string, format: Format, work: (image: DiskImage) => Promise<T>): Promise<T> {
  const source = await fileSource(path);
  try {
    if (format.open === undefined) throw new Error(`${format.name} can be read`);
    return await work(await format.open(source, { codecs, references: denyReferences }));
  } finally {
    await source.close();
  }
}

/** Makes a sparse raw file of `pieces` and the image `path` of it; `size` bytes of guest disk. */
export async function writeFromRaw(
  path: string,
  disk: { readonly raw: string; readonly size: number; readonly pieces: readonly Piece[] },
  how: { readonly target: Format; readonly options: GivenOptions },
): Promise<void> {
  const source = await rawDisk(disk.raw, disk.size, disk.pieces);
  try {
    await writeImage(path, source, how);
  } finally {
    await source.close();
  }
}

/** All guest bytes, read in pieces of `step`. */
export async function readGuest(image: DiskImage, step: number = 100_003): Promise<Uint8Array<ArrayBuffer>> {
  const guest = new Uint8Array(image.virtualSize).fill(0xee);
  for (let at = 0; at < guest.length; at += step) {
    await image.read(at, guest.subarray(at, Math.min(at + step, guest.length)));
  }
  return guest;
}

/** Are these the guest bytes, with nothing but zeros behind them? */
export function holdsGuest(actual: Uint8Array, guest: Uint8Array): boolean {
  const rest = actual.subarray(guest.length);
  return Buffer.compare(actual.subarray(0, guest.length), guest) === 0 && rest.every((byte) => byte === 0);
}

/** A fresh folder, and what removes it. */
export async function scratchFolder(): Promise<{ path(name: string): string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-disks-'));
  return { path: (name) => join(folder, name), remove: () => rm(folder, { recursive: true, force: true }) };
}
