import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { Decompress } from 'fzstd';
import type { ByteStream } from '../bytes/input-window.ts';
import { ImageError } from '../errors.ts';

/** The digests that a manifest may use. */
export type HashName = 'sha1' | 'sha256' | 'sha512';

/** A digest that is fed in pieces. */
export interface RunningHash {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** The heavy work of unpacking: portable by default, native where the platform has it. */
export interface WrapperPorts {
  hash(name: HashName): RunningHash;
  /**
   * The content of exactly one zstd frame, whose structure has been checked. Throws `corrupt`. The checksum at its end is
   * checked where the platform can.
   */
  zstdFrame(frame: ByteStream): ByteStream;
}

/** Ports in plain JavaScript. The checksum of a zstd frame is not checked. */
export const portablePorts: WrapperPorts = {
  hash: (name) => ({ sha1, sha256, sha512 })[name].create(),
  zstdFrame: portableZstdFrame,
};

async function* portableZstdFrame(frame: ByteStream): AsyncGenerator<Uint8Array> {
  let blocks: Uint8Array[] = [];
  const decoder = new Decompress((block) => blocks.push(block));
  for await (const piece of frame) {
    try {
      decoder.push(piece.slice());
    } catch (error) {
      throw new ImageError('corrupt', 'A zstd frame is damaged', { cause: error });
    }
    yield* blocks;
    blocks = [];
  }
}
