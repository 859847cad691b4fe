import type { MadeForm, Stored, WantedForm } from '../state.ts';

/** A form in which some stores get the image. */
export type CopyForm = WantedForm & {
  /** The disk_format of the places that are read for it; null: the form that the image's record describes. */
  readonly from: string | null;
};

/** What a copy is asked to do: the input of its job. Everything is decided. */
export type CopyInput = {
  readonly task_type: string;
  readonly image_id: string;
  readonly forms: readonly CopyForm[];
  /** Ids of stores, in order. */
  readonly stores: readonly string[];
  readonly all_stores_must_succeed: boolean;
  /** Names of stored bytes begin here, so that no other attempt to store bytes of the image has the same name. */
  readonly attempt_base: number;
};

/** After `stage`: what was read from stores lies in the scratch directory. */
export type Fetched = {
  /** By `from`; the form of the record by the empty text. */
  readonly fetched: Readonly<Record<string, MadeForm>>;
  /** What is converted, where something is. */
  readonly source_path: string;
  readonly source_virtual_size: number;
} & Stored;

/** The key of `fetched`. */
export function fetchedKey({ from }: Pick<CopyForm, 'from'>): string {
  return from ?? '';
}
