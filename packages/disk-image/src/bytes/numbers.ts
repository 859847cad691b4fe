import { ImageError } from '../errors.ts';

/** Names the field a number came from, for the error that a bad value becomes. */
export interface FieldContext {
  readonly format: string;
  readonly structure: string;
  readonly field: string;
  /** Byte offset of the field in the file, when known. */
  readonly offset?: number;
}

/** Reads numbers of fixed width at byte positions of one structure. All positions are relative to its start. */
export interface FieldReader {
  u8(at: number): number;
  u16(at: number): number;
  u32(at: number): number;
  /** A u64 that must fit 2^53 - 1, else `corrupt`. */
  u64(at: number, field: string): number;
  /** A u64 of bit fields, as it stands. */
  bits64(at: number): bigint;
  /** `length` bytes, a view. */
  bytes(at: number, length: number): Uint8Array;
}

/** Fields of the structure in `bytes`; `context` goes into errors. Reading past its end is a bug of the caller. */
export function fieldReader(
  bytes: Uint8Array,
  order: 'big' | 'little',
  context: { readonly format: string; readonly structure: string; readonly offset?: number },
): FieldReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = order === 'little';
  return {
    u8: (at) => view.getUint8(at),
    u16: (at) => view.getUint16(at, little),
    u32: (at) => view.getUint32(at, little),
    u64: (at, field) =>
      safeU64(view.getBigUint64(at, little), { ...context, field, offset: (context.offset ?? 0) + at }),
    bits64: (at) => view.getBigUint64(at, little),
    bytes: (at, length) => bytes.subarray(at, at + length),
  };
}

/** The u64 as a number, or `corrupt` when it is above 2^53 - 1: no real offset, size or count is. */
export function safeU64(value: bigint, context: FieldContext): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new ImageError('corrupt', `${context.field} is ${value}, larger than any possible file`, context);
}

/** `value`, or `corrupt` when it is outside `[min, max]`. `max` is the named limit of the field. */
export function checkedRange(value: number, min: number, max: number, context: FieldContext): number {
  if (value >= min && value <= max) return value;
  throw new ImageError('corrupt', `${context.field} is ${value}; it must lie between ${min} and ${max}`, context);
}

/** `value` rounded up to a multiple of `unit` (any positive integer). */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** `value` rounded down to a multiple of `unit` (any positive integer). */
export function alignDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}

/** True for 1, 2, 4, ... up to 2^31. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= 2 ** 31 && (value & (value - 1)) === 0;
}

/** ASCII text of a fixed-width field, up to the first NUL. */
export function asciiField(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** The bytes of an ASCII string. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
