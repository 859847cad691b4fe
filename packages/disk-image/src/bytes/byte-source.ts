import { ImageError, throwIfAborted } from '../errors.ts';

/** Bytes that can be read at any position: a file, a Blob, memory. */
export interface ByteSource {
  /** Length in bytes, fixed while the source is open. */
  readonly size: number;
  /** Fills all of `into` from `offset`, or throws `truncated` (past the end), `io` or `aborted`. */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Only where small reads are cheap: fills `into` with samples, at once. Throws as `read`. */
  readSamples?(samples: Samples, into: Uint8Array): void;
  /**
   * Only where reads wait for a disk: begins to bring ranges into memory that will soon be wanted, and returns before they
   * are there. Does nothing where the first of them is there already. Never fails.
   */
  readAhead?(ranges: readonly FileRange[]): void;
  /** Only where reads wait for a disk: can the byte at `offset` be read without? Never fails. */
  isInMemory?(offset: number): boolean;
  /** Ranges that surely read as zeros may be skipped by callers; undefined when the source cannot tell. */
  readonly holes?: HoleFinder;
  close(): Promise<void>;
}

/** Pieces of `length` bytes, the first at `offset`, each next one `stride` bytes behind. */
export interface Samples {
  readonly offset: number;
  readonly stride: number;
  readonly length: number;
}

/** Bytes of a file. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/** Finds the sparse regions of a source. */
export interface HoleFinder {
  /**
   * The first range at or after `offset` that may hold something other than zeros: `[start, end)`,
   * or undefined when only zeros follow.
   */
  nextData(offset: number): { readonly start: number; readonly end: number } | undefined;
}

/** Bytes that can be written at any position. What was never written reads as zeros, except on a device. */
export interface ByteSink {
  /** Only for a device: its size in bytes, which stays. What was never written reads as whatever was there before. */
  readonly deviceSize?: number;
  /** Writes all of `bytes` at `offset`, growing the sink as needed, or throws `io` or `aborted`. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes the range read as zeros, giving the space back where the sink can. */
  zero(offset: number, length: number): Promise<void>;
  /** Sets the length; growth reads as zeros. */
  truncate(size: number): Promise<void>;
  /**
   * Only where it makes writing faster: takes space for what will soon be written there. The sink may grow; what is then
   * not written reads as zeros. Never fails: what finds no space fails when it is written.
   */
  reserve?(offset: number, length: number): void;
  /**
   * Only where bytes can come from another file without passing through this process: copies `length` bytes of `source`
   * from `offset` on to `to`. Returns how many it has copied, perhaps none, and never fails: what it left out fails when
   * it is read or written.
   */
  copyFrom?(source: ByteSource, range: FileRange, to: number): number;
  /**
   * Only where files can share blocks on disk: lets the range be the same blocks as that of `source`, which both keep until
   * one is written. Returns and fails as `copyFrom`.
   */
  reflinkFrom?(source: ByteSource, range: FileRange, to: number): number;
  /** Returns when all that was written is on stable storage. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** `length` bytes of the source at `offset`, freshly allocated. The caller has checked `length` against a limit. */
export async function readBytes(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await source.read(offset, bytes);
  return bytes;
}

/** Throws `truncated` when `[offset, offset + length)` is not wholly inside a source of `size` bytes. */
export function checkInside(size: number, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= size) return;
  throw new ImageError(
    'truncated',
    `The file ends at byte ${size}, but bytes ${offset} to ${offset + length} are needed`,
    {
      offset,
    },
  );
}

/** A source over memory; `bytes` is not copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    async read(offset, into, signal) {
      throwIfAborted(signal);
      checkInside(bytes.length, offset, into.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
    async close() {},
  };
}

/** A sink into memory that grows as it is written; `bytes()` is its content so far, not a copy. */
export interface MemorySink extends ByteSink {
  bytes(): Uint8Array;
}

/** An empty memory sink that refuses to grow beyond `maxSize` bytes with `io`, as a full disk does. */
export function memorySink(maxSize: number = 2 ** 31): MemorySink {
  let buffer = new Uint8Array(65536);
  let size = 0;
  const grow = (needed: number): void => {
    if (needed > maxSize) throw new ImageError('io', `No space left: ${needed} bytes needed, ${maxSize} available`);
    if (needed > buffer.length) {
      const larger = new Uint8Array(Math.min(maxSize, Math.max(needed, buffer.length * 2)));
      larger.set(buffer.subarray(0, size));
      buffer = larger;
    }
    size = Math.max(size, needed);
  };
  return {
    async write(offset, bytes) {
      grow(offset + bytes.length);
      buffer.set(bytes, offset);
    },
    async zero(offset, length) {
      grow(offset + length);
      buffer.fill(0, offset, offset + length);
    },
    async truncate(newSize) {
      if (newSize < size) buffer.fill(0, newSize, size);
      grow(newSize);
      size = newSize;
    },
    async flush() {},
    async close() {},
    bytes: () => buffer.subarray(0, size),
  };
}
