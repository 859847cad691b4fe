import type { BlobPlace } from '../../catalog/repositories.ts';
import type { ImportInput, Verified } from '../state.ts';

/** What a conversion in place is asked to do: the input of its job. What an import would read of it means the same here. */
export type ConversionInput = ImportInput & {
  readonly conversion_format: string;
  /** What the image is to have as its container format. */
  readonly container_format_after: string;
  /** Names of stored bytes begin here, so that no other attempt to store bytes of the image has the same name. */
  readonly attempt_base: number;
  /** The image as it was when the conversion was asked for. */
  readonly before: {
    /** SHA-512 in hex; null when it is not known. */
    readonly sha512: string | null;
    /** Each as `placeName` has it. */
    readonly places: readonly string[];
  };
};

/** After each `Store`. */
export type Placed = Pick<Verified, 'filled_stores'>;

/** One text for a place. */
export function placeName({ store, location }: BlobPlace): string {
  return `${store} ${location}`;
}
