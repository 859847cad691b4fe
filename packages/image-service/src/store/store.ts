/** The place of bytes in a store: what `put` gave and the catalogue keeps. */
export interface StoredBlob {
  /** The store's own name for the bytes. */
  readonly location: string;
  readonly sizeBytes: number;
}

/** A local file that is whole and is never written again. */
export interface BlobFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Bytes that come once, in order. */
export interface BlobStream {
  /** Each piece is good until the next one is asked for. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** How many they must be, where that is known beforehand. */
  readonly sizeBytes?: number;
}

/** Bytes to be stored. */
export type BlobContent = BlobFile | BlobStream;

/** Whose bytes they are. `epoch` tells one attempt from another, so that none overwrites what another has stored. */
export interface BlobOwner {
  readonly imageId: string;
  readonly epoch: number;
}

/** How a long transfer is watched and stopped. */
export interface TransferOptions {
  readonly signal?: AbortSignal;
  /** `total` is `done` while nobody knows the total. */
  readonly onBytes?: (done: number, total: number) => void;
}

/** A half-open range of bytes. */
export interface BlobRange {
  readonly offset: number;
  readonly length: number;
}

/** Which leftovers stay. */
export interface KeptLeftovers {
  /** Images whose puts will be taken up again. */
  readonly images: readonly string[];
  /** Leftovers begun at this time or later stay too, milliseconds since 1970; absent: only `images` counts. */
  readonly since?: number;
}

/** The kinds of stores. */
export type StoreType = 'file' | 's3' | 'http';

/**
 * Where finished bytes lie. Every location that is not of the store's own making is `missing`, whatever it looks like.
 * `packages/image-service/test/store-conformance.ts` holds what every store must do.
 */
export interface ImageStore {
  readonly id: string;
  readonly type: StoreType;
  /** Nothing can be put here or deleted. */
  readonly readOnly: boolean;
  /** What lies in several stores is read from the one with the highest weight. */
  readonly weight: number;
  /**
   * Stores the bytes, durably and whole when it returns; before that nobody can read them. When it fails, no location
   * of this attempt exists; what a stopped put of a file has left of its parts is taken up by the next put for the same image, or
   * goes with `discardUnfinished`. Throws `full`, `unavailable`, `io`, `read_only`, or the reason of the signal.
   */
  put(owner: BlobOwner, content: BlobContent, options?: TransferOptions): Promise<StoredBlob>;
  /** The bytes, or those of a range that are there. Throws `missing`, `unavailable` or `io`; never ends early in silence. */
  read(location: string, range?: BlobRange, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Throws `missing`, `unavailable` or `io`. */
  stat(location: string): Promise<StoredBlob>;
  /** Missing means done. Throws `unavailable`, `io`, `read_only`. */
  delete(location: string): Promise<void>;
  /** The locations of everything stored for an image, by whatever attempt. */
  blobsOf(imageId: string): Promise<readonly string[]>;
  /** Removes what stopped puts of an image have left. Only while none is under way. Missing means done. */
  discardUnfinished(imageId: string): Promise<void>;
  /** Removes what puts of this installation that were cut off have left. Only while no other put is under way. */
  clearLeftovers(kept?: KeptLeftovers): Promise<void>;
  /** Throws `unavailable` or `io` when nothing could be put now, though there were room; of a store that is only read, nothing. */
  checkReady(): Promise<void>;
  /** How many bytes a put may bring; undefined where nobody can tell. */
  freeBytes(): Promise<number | undefined>;
  /** A URL of the bytes, for programs that read them by themselves. It holds no credentials. Throws `missing` for no location. */
  addressOf(location: string): Promise<string>;
  /**
   * The location that a caller's URL means for an image: undefined when it means none here, or one that callers must not
   * choose. Bytes in a store that is written belong to the image that they were stored for, and files to the service alone.
   */
  locationAt(url: string, imageId: string): string | undefined;
}

/**
 * - `missing`: nothing lies there.
 * - `full`: there is no room.
 * - `unavailable`: the store does not answer, or is too busy; later it may.
 * - `read_only`: nothing can be put there or deleted.
 * - `io`: the store failed otherwise; `cause` keeps why.
 */
export type StoreErrorCode = 'io' | 'missing' | 'full' | 'unavailable' | 'read_only';

/** A failure of a store; the message is fit for users and names no path. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
  }
}
