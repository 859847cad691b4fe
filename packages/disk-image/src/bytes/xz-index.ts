import { sha256 } from '@noble/hashes/sha2.js';
import { ImageError } from '../errors.ts';
import { crc32Continued } from './crc32.ts';
import type { InputWindow } from './input-window.ts';

/** Pairs of sizes, kept as their count and a digest, so that any number of blocks takes no memory. */
export interface Numbers {
  add(unpadded: number, length: number): void;
  readonly count: number;
  digest(): string;
}

/** No pairs yet. */
export function recordsOf(): Numbers {
  const hash = sha256.create();
  const words = new Float64Array(2);
  const numbers = {
    count: 0,
    add(unpadded: number, length: number): void {
      words[0] = unpadded;
      words[1] = length;
      hash.update(new Uint8Array(words.buffer));
      numbers.count++;
    },
    digest: () => hash.clone().digest().join(),
  };
  return numbers;
}

/** Bytes and how far they are read. */
export interface NumberReader {
  readonly bytes: Uint8Array;
  at: number;
}

const MAX_NUMBER_BYTES = 9;

/**
 * Seven bits a byte, lowest first, the highest bit set in all but the last. Throws `corrupt` above 2^53 - 1, for a last
 * byte of 0, and past the end of the bytes. The xz file format 1.1.0, section 1.2.
 */
export function multibyteNumber(reader: NumberReader): number {
  let value = 0;
  for (let i = 0; i < MAX_NUMBER_BYTES; i++) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if ((byte === 0 && i > 0) || !Number.isSafeInteger(value)) break;
    return value;
  }
  throw damaged('has an impossible number');
}

/**
 * Reads the index and holds it against the blocks that were read; returns its size in bytes. Throws `corrupt`,
 * `truncated`. The xz file format 1.1.0, section 4.
 */
export async function readIndex(input: InputWindow, blocks: Numbers): Promise<number> {
  const start = input.position;
  let crc = 0;
  const take = async (count: number): Promise<Uint8Array> => {
    const bytes = await input.need(count, 'xz index');
    crc = crc32Continued(crc, bytes);
    input.consume(count);
    return bytes;
  };
  const number = async (): Promise<number> => {
    const reader = { bytes: (await input.peek(MAX_NUMBER_BYTES)).subarray(0, MAX_NUMBER_BYTES), at: 0 };
    if (reader.bytes.length < MAX_NUMBER_BYTES) await input.need(MAX_NUMBER_BYTES, 'xz index');
    const value = multibyteNumber(reader);
    await take(reader.at);
    return value;
  };
  await take(1);
  const count = await number();
  if (count !== blocks.count) throw damaged(`lists ${count} blocks; there are ${blocks.count}`);
  const listed = recordsOf();
  for (let i = 0; i < count; i++) listed.add(await number(), await number());
  if (listed.digest() !== blocks.digest()) throw damaged('lists blocks of other sizes than there are');
  const padding = (4 - ((input.position - start) % 4)) % 4;
  if ((await take(padding)).some((byte) => byte !== 0)) throw damaged('has something behind it');
  const expected = crc;
  const bytes = await input.need(4, 'xz index');
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (stored !== expected) throw damaged('does not match its checksum');
  input.consume(4);
  return input.position - start;
}

function damaged(how: string): ImageError {
  return new ImageError('corrupt', `The index of an xz stream ${how}`, { structure: 'xz index' });
}
