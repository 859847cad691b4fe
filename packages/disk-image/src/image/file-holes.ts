import type { ByteSource, HoleFinder } from '../bytes/byte-source.ts';
import type { DiskImage } from './disk-image.ts';
import type { Extent } from './extent.ts';

/**
 * The extents with those parts as `zero` that lie in holes of the file: for formats that give every guest byte its place
 * in advance, so that tables alone cannot tell which parts were ever written. Sources that know no holes change nothing.
 */
export async function* extentsWithHoles(
  source: ByteSource,
  extents: AsyncIterable<Extent> | Iterable<Extent>,
): AsyncGenerator<Extent> {
  for await (const extent of extents) {
    if (extent.state !== 'data' || extent.hostOffset === undefined || source.holes === undefined) yield extent;
    else yield* splitAtHoles(source.holes, extent, extent.hostOffset);
  }
}

function* splitAtHoles(holes: NonNullable<ByteSource['holes']>, extent: Extent, hostOffset: number): Generator<Extent> {
  const end = hostOffset + extent.length;
  const part = (state: 'data' | 'zero', from: number, to: number): Extent => {
    return { ...extent, state, offset: extent.offset + (from - hostOffset), length: to - from, hostOffset: from };
  };
  for (let position = hostOffset; position < end;) {
    const found = holes.nextData(position);
    const start = Math.min(end, Math.max(position, found?.start ?? end));
    const stop = Math.min(end, found?.end ?? end);
    if (start > position) yield part('zero', position, start);
    if (stop > start) yield part('data', start, stop);
    position = Math.max(start, stop);
  }
}

/** What an image says of the one file in which its bytes lie. */
export function ownFile(source: ByteSource): Pick<DiskImage, 'file' | 'holes'> {
  return { file: source, ...(source.holes === undefined ? {} : { holes: source.holes }) };
}

/** The guest bytes of an extent that may be something other than zeros. */
export interface StoredRange {
  readonly offset: number;
  readonly length: number;
}

/** Says which parts of the image's data extents may be something other than zeros: those that lie in no hole of its file. */
export function storedRanges({ holes }: Pick<DiskImage, 'holes'>): (extent: Extent) => Iterable<StoredRange> {
  const remembered = holes === undefined ? undefined : rememberingHoles(holes);
  return (extent) => {
    const { hostOffset, hostFile, depth = 0, compressed } = extent;
    if (remembered === undefined || hostOffset === undefined || hostFile !== undefined || depth > 0 || compressed) {
      return [extent];
    }
    return dataParts(remembered, extent, hostOffset);
  };
}

function* dataParts(holes: HoleFinder, extent: Extent, hostOffset: number): Generator<StoredRange> {
  for (const part of splitAtHoles(holes, extent, hostOffset)) if (part.state === 'data') yield part;
}

/** A finder that asks once for what lies side by side: extents are many, holes are few. */
function rememberingHoles(holes: HoleFinder): HoleFinder {
  let asked = 0;
  let found: { readonly start: number; readonly end: number } | undefined = { start: 0, end: 0 };
  return {
    nextData(offset) {
      const isKnown = offset >= asked && (found === undefined || offset < found.end);
      if (!isKnown) {
        asked = offset;
        found = holes.nextData(offset);
      }
      return found && { start: Math.max(offset, found.start), end: found.end };
    },
  };
}
