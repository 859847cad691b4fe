import type { ByteSource } from '@diskmorph/disk-image';
import type { Staging } from '../../staging/staging.ts';
import type { BlobOwner, BlobStream } from '../../store/store.ts';

/** Where the bytes of an import are to lie, and how that is watched. */
export interface BroughtFile {
  /** To whom space is promised. */
  readonly owner: string;
  readonly to: string;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  readonly onBytes: (done: number, total: number) => void;
}

/** Data that callers have given and that waits for its import: one for each image, whole or not there. */
export interface StagedData {
  /** What tasks call the place of an image's data. */
  addressOf(imageId: string): Promise<string>;
  /**
   * Keeps what comes instead of what there was, durably. `epoch`: later data of an image has a higher one. What is left
   * when it fails goes by `remove`. Throws what the bytes throw, `insufficient_space`, `unavailable`, `io`.
   */
  keep(owner: BlobOwner, content: BlobStream): Promise<{ readonly sizeBytes: number }>;
  /** Undefined when there is none. Throws `unavailable`, `io`. */
  sizeOf(imageId: string): Promise<number | undefined>;
  /** To be read at any position, and closed; undefined when there is none. Throws `unavailable`, `io`. */
  open(imageId: string): Promise<ByteSource | undefined>;
  /**
   * Brings it to a file of a job in `staging`; again for the same job it goes on, or is done. Throws `bad_source` when there
   * is none.
   */
  bring(imageId: string, file: BroughtFile, staging: Staging): Promise<{ readonly sizeBytes: number }>;
  /** Removes it; `upTo`: not what came in later epochs. Missing means done. */
  remove(imageId: string, upTo?: number): Promise<void>;
  /** As `ScratchSpace.keepOnly`. */
  keepOnly(choose: (imageIds: readonly string[]) => Promise<readonly string[]>): Promise<void>;
  /** Throws `unavailable` or `io` when nothing could be kept now, though there were room. */
  checkReady(): Promise<void>;
}
