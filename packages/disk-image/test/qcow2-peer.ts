import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import type { Codecs, DiskImage, GivenOptions, OpenContext } from '../src/index.ts';
import { convertInMemory, denyReferences, memorySource, portableCodecs } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { raw } from '../src/formats/raw/raw.ts';

const run = promisify(execFile);

/** qemu-img and qemu-io in a folder of their own, which `close` removes. */
export interface Peer {
  path(name: string): string;
  /** Runs qemu-img in the folder; an exit code that is not in `accept` throws. */
  img(arguments_: readonly string[], accept?: readonly number[]): Promise<string>;
  /** Runs qemu-io commands one after another on the image. */
  io(image: string, commands: readonly string[]): Promise<void>;
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  write(name: string, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Installs qemu-utils where that is allowed. */
export async function openPeer(): Promise<Peer> {
  const program = await requireQemuImg();
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-qcow2-'));
  const execute = async (path: string, arguments_: readonly string[], accept: readonly number[]): Promise<string> => {
    try {
      return (await run(path, arguments_, { cwd: folder, maxBuffer: 2 ** 26 })).stdout;
    } catch (error) {
      const failure = error as { readonly code?: number; readonly stdout?: string };
      if (failure.code !== undefined && accept.includes(failure.code)) return failure.stdout ?? '';
      throw error;
    }
  };
  return {
    path: (name) => join(folder, name),
    img: (arguments_, accept = []) => execute(program, arguments_, accept),
    async io(image, commands) {
      const qemuIo = join(dirname(program), basename(program).replace('qemu-img', 'qemu-io'));
      await execute(qemuIo, [...commands.flatMap((command) => ['-c', command]), image], []);
    },
    read: async (name) => new Uint8Array(await readFile(join(folder, name))),
    write: (name, bytes) => writeFile(join(folder, name), bytes),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The portable codecs with zstd compression added. */
export const testCodecs: Codecs = {
  ...portableCodecs,
  compress(method, level, input, output) {
    if (method !== 'zstd') return portableCodecs.compress(method, level, input, output);
    const stored = zlib.zstdCompressSync(input, { params: { [zlib.constants.ZSTD_c_compressionLevel]: level ?? 3 } });
    if (stored.length > output.length) return 0;
    output.set(stored);
    return stored.length;
  },
};

/** The image in `bytes`, opened without any other file. */
export async function openBytes(bytes: Uint8Array, more: Partial<OpenContext> = {}): Promise<DiskImage> {
  const context: OpenContext = { codecs: testCodecs, references: denyReferences, ...more };
  const image = await qcow2.open?.(memorySource(bytes), context);
  if (image === undefined) throw new Error('qcow2 can be opened');
  return image;
}

/** All guest bytes, read in pieces of an awkward length. */
export async function readAll(image: DiskImage, pieceLength: number = 100_003): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(image.virtualSize).fill(0xee);
  for (let offset = 0; offset < bytes.length; offset += pieceLength) {
    await image.read(offset, bytes.subarray(offset, Math.min(bytes.length, offset + pieceLength)));
  }
  return bytes;
}

/** Guest bytes as a qcow2 file. */
export async function toQcow2(guest: Uint8Array, options: GivenOptions): Promise<Uint8Array> {
  const source = await raw.open?.(memorySource(guest), { codecs: testCodecs, references: denyReferences });
  if (source === undefined) throw new Error('raw can be opened');
  const result = await convertInMemory({ source, target: qcow2, options, codecs: testCodecs, fileName: 'disk.qcow2' });
  const bytes = result.files.get('disk.qcow2');
  if (bytes === undefined) throw new Error('the conversion gives its file');
  return bytes;
}

/** Bytes from a small seeded generator, the same every time. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** A disk with holes, constant runs, text-like runs, noise, and single bytes: everything that a cluster can be. */
export function mixedGuest(length: number): Uint8Array {
  const guest = new Uint8Array(length);
  const put = (offset: number, bytes: Uint8Array): void => {
    if (offset >= 0 && offset < length) guest.set(bytes.subarray(0, length - offset), offset);
  };
  put(0, noise(5000, 1));
  put(20_000, new Uint8Array(150_000).fill(7));
  put(
    Math.floor(length / 4),
    Uint8Array.from({ length: 200_000 }, (_, i) => i % 61),
  );
  put(Math.floor(length / 2) + 512, noise(100_000, 2));
  put(Math.floor((length * 3) / 4), new Uint8Array([1]));
  put(length - 700, noise(700, 3));
  return guest;
}
