import type { ByteSource, ByteStream, Unwrapped, WrapperKind } from '@diskmorph/disk-image';
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

/**
 * Writes all of the stream into a new file, zeros as holes; its length is the stream's. Throws as the stream does, `io`,
 * `aborted`.
 */
export async function spoolStream(
  stream: { readonly bytes: ByteStream; consumed(): number },
  filePath: string,
  how: {
    readonly report: { readonly wrapper: WrapperKind; readonly totalBytes: number };
    readonly onProgress?: (progress: UnwrapProgress) => void;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const { isZero } = nodeCodecs();
  const sink = openFileSink(filePath, 'the unpacked image');
  const report = (producedBytes: number): void =>
    how.onProgress?.({ ...how.report, consumedBytes: stream.consumed(), producedBytes });
  try {
    let offset = 0;
    let reported = 0;
    for await (const piece of stream.bytes) {
      throwIfAborted(how.signal);
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + HOLE_BYTES - ((offset + at) % HOLE_BYTES));
        if (!isZero(part)) await sink.write(offset + at, part);
        at += part.length;
      }
      offset += piece.length;
      if (offset - reported < REPORT_BYTES) continue;
      reported = offset;
      report(offset);
    }
    await sink.truncate(offset);
    report(offset);
  } finally {
    await sink.close();
  }
}

const COPY_BYTES = 1024 * 1024;

/** Writes the pieces of a file with holes into a new file. Throws `truncated`, `io`, `aborted`. */
export async function spoolPieces(
  source: ByteSource,
  file: Extract<Unwrapped, { readonly placement: 'pieces' }>,
  how: { readonly filePath: string; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const sink = openFileSink(how.filePath, 'the unpacked image');
  const buffer = new Uint8Array(COPY_BYTES);
  try {
    for (const { offset, hostOffset, length } of file.pieces) {
      for (let done = 0; done < length; done += buffer.length) {
        const part = buffer.subarray(0, Math.min(buffer.length, length - done));
        await source.read(hostOffset + done, part, how.signal);
        await sink.write(offset + done, part);
      }
    }
    await sink.truncate(file.length);
  } finally {
    await sink.close();
  }
}
