/** The place of bytes in a store: what `put` gave and the catalogue keeps. */
export interface StoredBlob {
  /** The store's own name for the bytes. */
  readonly location: string;
  readonly sizeBytes: number;
}

/** Bytes to be stored: a local file that is whole and is never written again. */
export interface BlobContent {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Whose bytes they are. `epoch` tells one attempt from another, so that none overwrites what another has stored. */
export interface BlobOwner {
  readonly imageId: string;
  readonly epoch: number;
}

/** How a long transfer is watched and stopped. */
export interface TransferOptions {
  readonly signal?: AbortSignal;
  readonly onBytes?: (done: number, total: number) => void;
}

/** A half-open range of bytes. */
export interface BlobRange {
  readonly offset: number;
  readonly length: number;
}

/** Where finished bytes lie. */
export interface ImageStore {
  readonly id: string;
  /** Stores the bytes, durably when it returns; leaves nothing when it fails. Throws `io`. */
  put(owner: BlobOwner, content: BlobContent, options?: TransferOptions): Promise<StoredBlob>;
  /** The bytes, or a range of them. Throws `missing` or `io`. */
  read(location: string, range?: BlobRange): AsyncIterable<Uint8Array>;
  /** Missing means done. Throws `io`. */
  delete(location: string): Promise<void>;
  /** The locations of everything stored for an image, by whatever attempt. */
  blobsOf(imageId: string): Promise<readonly string[]>;
  /** Removes what puts that were cut off have left. Only while no put is under way. */
  clearLeftovers(): Promise<void>;
}

/** `io`: the store failed (full, unreadable, gone); `cause` keeps why. `missing`: nothing lies there. */
export type StoreErrorCode = 'io' | 'missing';

/** A failure of a store; the message is fit for users and names no path. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
  }
}
