import type { ByteSource } from './byte-source.ts';

/** The source with a signal for reads that are given none, so that work which knows no signal ends with `aborted` too. */
export function cancellableSource(source: ByteSource, signal: AbortSignal): ByteSource {
  return {
    size: source.size,
    ...(source.holes === undefined ? {} : { holes: source.holes }),
    read: (offset, into, own) => source.read(offset, into, own ?? signal),
    close: () => source.close(),
  };
}
