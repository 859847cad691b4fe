import type { ByteSource } from '../bytes/byte-source.ts';
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
