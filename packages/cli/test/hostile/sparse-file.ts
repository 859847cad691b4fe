import { open } from 'node:fs/promises';

export const KIB = 1024;
export const MIB: number = 2 ** 20;
export const GIB: number = 2 ** 30;
export const TIB: number = 2 ** 40;

/** A file to be written: bytes at their places, holes between them. */
export interface SparseFile {
  readonly size: number;
  readonly parts: readonly { readonly at: number; readonly bytes: Uint8Array }[];
}

/** Numbers set in a block of zeros: `[offset, bytes of the number, value]`. */
export type Field = readonly [at: number, width: 1 | 2 | 4 | 8, value: number | bigint];

/** A block of `length` bytes with the numbers and texts set. */
export function block(
  length: number,
  order: 'big' | 'little',
  fields: readonly Field[],
  texts: readonly (readonly [at: number, text: string])[] = [],
): Buffer {
  const bytes = Buffer.alloc(length);
  for (const [at, width, value] of fields) {
    const digits = BigInt.asUintN(width * 8, BigInt(value));
    for (let i = 0; i < width; i++) {
      const shift = BigInt(8 * (order === 'little' ? i : width - 1 - i));
      bytes[at + i] = Number((digits >> shift) & 0xffn);
    }
  }
  for (const [at, text] of texts) bytes.write(text, at, 'latin1');
  return bytes;
}

/** `count` numbers one after the other. */
export function table(
  count: number,
  kind: 'be32' | 'be64' | 'le32' | 'le64',
  value: (index: number) => number,
): Buffer {
  const width = kind.endsWith('64') ? 8 : 4;
  const bytes = Buffer.alloc(count * width);
  for (let i = 0; i < count; i++) {
    const number = value(i);
    if (kind === 'be32') bytes.writeUInt32BE(number, i * 4);
    else if (kind === 'le32') bytes.writeUInt32LE(number, i * 4);
    else if (kind === 'be64') bytes.writeBigUInt64BE(BigInt(number), i * 8);
    else bytes.writeBigUInt64LE(BigInt(number), i * 8);
  }
  return bytes;
}

/** A file of those bytes alone. */
export function dense(bytes: Uint8Array): SparseFile {
  return { size: bytes.length, parts: [{ at: 0, bytes }] };
}

/** Writes the file. */
export async function writeSparse(path: string, file: SparseFile): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.truncate(file.size);
    for (const { at, bytes } of file.parts) await handle.write(bytes, 0, bytes.length, at);
  } finally {
    await handle.close();
  }
}
