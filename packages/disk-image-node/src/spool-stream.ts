import type { ByteSource, ByteStream, WrapperKind } from '@diskmorph/disk-image';
import { throwIfAborted } from '@diskmorph/disk-image';
import { openFileSink } from './file-sink.ts';
import { nodeCodecs } from './native-codecs.ts';

/** How far the unpacking of one container is. */
export interface UnwrapProgress {
  readonly wrapper: WrapperKind;
  /** Bytes of the container that were read, of `totalBytes`. */
  readonly consumedBytes: number;
  readonly totalBytes: number;
  readonly producedBytes: number;
}

/** Zeros of this many bytes, at multiples of it, become holes. */
const HOLE_BYTES = 64 * 1024;
const REPORT_BYTES = 8 * 2 ** 20;

/** The file that is written: `take` hears how many bytes before they are, and throws when they are too many. */
export interface SpoolTarget {
  readonly path: string;
  take(bytes: number): void;
}

/**
 * Writes all of the stream into a new file, zeros as holes; its length is the stream's. Throws as the stream and the target
 * do, `io`, `aborted`.
 */
export async function spoolStream(
  stream: { readonly bytes: ByteStream; consumed(): number },
  target: SpoolTarget,
  how: {
    readonly kind: WrapperKind;
    readonly totalBytes: number;
    readonly onProgress?: (progress: UnwrapProgress) => void;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const { kind: wrapper, totalBytes } = how;
  const sink = sparseSink(target);
  const report = (): void =>
    how.onProgress?.({ wrapper, totalBytes, consumedBytes: stream.consumed(), producedBytes: sink.length() });
  try {
    let reported = 0;
    for await (const piece of stream.bytes) {
      throwIfAborted(how.signal);
      await sink.append(piece);
      if (sink.length() - reported < REPORT_BYTES) continue;
      reported = sink.length();
      report();
    }
    await sink.end();
    report();
  } finally {
    await sink.close();
  }
}

const COPY_BYTES = 1024 * 1024;

/** Writes all of the source into a new file, zeros as holes. Throws as the source and the target do, `io`, `aborted`. */
export async function spoolSource(
  source: ByteSource,
  target: SpoolTarget,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sink = sparseSink(target);
  const buffer = new Uint8Array(COPY_BYTES);
  try {
    for (let offset = 0; offset < source.size;) {
      const data = source.holes === undefined ? { start: offset } : source.holes.nextData(offset);
      offset = Math.min(source.size, Math.max(offset, data?.start ?? source.size));
      const part = buffer.subarray(0, Math.min(buffer.length, source.size - offset));
      await source.read(offset, part, signal);
      sink.skipTo(offset);
      await sink.append(part);
      offset += part.length;
    }
    sink.skipTo(source.size);
    await sink.end();
  } finally {
    await sink.close();
  }
}

interface SparseSink {
  append(bytes: Uint8Array): Promise<void>;
  /** What lies between is zeros. */
  skipTo(offset: number): void;
  length(): number;
  end(): Promise<void>;
  close(): Promise<void>;
}

function sparseSink(target: SpoolTarget): SparseSink {
  const { isZero } = nodeCodecs();
  const sink = openFileSink(target.path, 'the unpacked image');
  let length = 0;
  return {
    async append(bytes) {
      for (let at = 0; at < bytes.length;) {
        const part = bytes.subarray(at, at + HOLE_BYTES - (length % HOLE_BYTES));
        if (!isZero(part)) {
          target.take(part.length);
          await sink.write(length, part);
        }
        at += part.length;
        length += part.length;
      }
    },
    skipTo(offset) {
      length = offset;
    },
    length: () => length,
    end: () => sink.truncate(length),
    close: () => sink.close(),
  };
}
