/** Damage to images, and everything that reads them: whatever comes out must be an ImageError. */
import fc from 'fast-check';
import type { Format } from '../src/index.ts';
import { denyReferences, ImageError, memorySource, portableCodecs as codecs } from '../src/index.ts';

/** A number in an image: where it lies, from the end when negative, and how many bytes it has. */
export type Field = readonly [at: number, width: 1 | 2 | 4 | 8];

/** What is known about a seed image, to damage it where it hurts. */
export interface Anatomy {
  readonly fields: readonly Field[];
  /** Where tables of u32 lie. */
  readonly tables: readonly { readonly at: number; readonly entries: number }[];
  readonly littleEndian: boolean;
  /** Makes checksums right again, so that damage gets past them. */
  readonly mend?: (bytes: Uint8Array) => void;
}

/** One piece of damage. */
export type Damage =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'field'; readonly field: number; readonly value: bigint }
  | { readonly kind: 'entry'; readonly table: number; readonly index: number; readonly value: bigint };

/** Values at which numbers of files turn over, and some that are offsets, sizes and types. */
export const INTERESTING: readonly bigint[] = [
  0n,
  1n,
  2n,
  3n,
  4n,
  9n,
  511n,
  512n,
  513n,
  4096n,
  65_536n,
  0x200000n,
  0x7fffffffn,
  0x80000000n,
  0xfffffffen,
  0xffffffffn,
  1n << 32n,
  1n << 40n,
  1n << 52n,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];

const value = fc.oneof(
  fc.constantFrom(...INTERESTING),
  fc.bigInt({ min: 0n, max: 400n }),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

/** Damage of every kind. */
export const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('field' as const), field: fc.nat(), value }),
  fc.record({ kind: fc.constant('entry' as const), table: fc.nat(), index: fc.nat(), value }),
);

/** A damaged copy. */
export function damaged(image: Uint8Array, anatomy: Anatomy, all: readonly Damage[]): Uint8Array {
  let bytes = image.slice();
  for (const one of all) {
    if (bytes.length === 0) return bytes;
    if (one.kind === 'cut') bytes = bytes.slice(0, one.at % bytes.length);
    else if (one.kind === 'flip') bytes[one.at % bytes.length] = (bytes[one.at % bytes.length] ?? 0) ^ (1 << one.bit);
    else putNumber(bytes, anatomy, place(one, anatomy), one.value);
  }
  anatomy.mend?.(bytes);
  return bytes;
}

function place(one: Damage & { readonly kind: 'field' | 'entry' }, { fields, tables }: Anatomy): Field {
  if (one.kind === 'field') return fields[one.field % fields.length] ?? [0, 1];
  const table = tables[one.table % tables.length];
  return table === undefined ? [0, 1] : [table.at + (one.index % table.entries) * 4, 4];
}

function putNumber(bytes: Uint8Array, { littleEndian }: Anatomy, [at, width]: Field, number: bigint): void {
  const start = at < 0 ? bytes.length + at : at;
  if (start < 0 || start + width > bytes.length) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 8) view.setBigUint64(start, number, littleEndian);
  else if (width === 4) view.setUint32(start, Number(number & 0xffffffffn), littleEndian);
  else if (width === 2) view.setUint16(start, Number(number & 0xffffn), littleEndian);
  else view.setUint8(start, Number(number & 0xffn));
}

const KNOWN: ReadonlySet<string> = new Set([
  'wrong_format',
  'unsupported',
  'corrupt',
  'truncated',
  'unsafe',
  'out_of_bounds',
]);
const MAX_READ = 2 ** 20;

/** Examines, checks, opens, maps and reads. Everything that comes out but an ImageError about the image; hopefully nothing. */
export async function strangeErrors(format: Format, bytes: Uint8Array): Promise<readonly unknown[]> {
  const strange: unknown[] = [];
  const attempt = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof ImageError) || !KNOWN.has(error.code)) strange.push(error);
    }
  };
  await attempt(() => format.examine(memorySource(bytes)));
  await attempt(async () => format.check?.(memorySource(bytes)));
  await attempt(async () => {
    const image = await format.open?.(memorySource(bytes), { codecs, references: denyReferences });
    if (image === undefined) return;
    const buffer = new Uint8Array(Math.min(image.virtualSize, MAX_READ));
    await attempt(() => image.read(0, buffer));
    await attempt(() => image.read(image.virtualSize - buffer.length, buffer));
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      if (extent.length <= 0) strange.push(extent);
    }
  });
  return strange;
}
