/** What is computed over stored bytes. */
export type HashName = 'md5' | 'sha512';

/** Bytes of one slot: what is handed to the threads at once. */
export const SLOT_SIZE: number = 1024 * 1024;
/** Slots of one stream; all the memory that a stream holds back. */
export const SLOT_COUNT = 4;

/** What a hashing thread is told. `digest` names one digest of one stream or file. */
export type HashOrder =
  | { readonly kind: 'open'; readonly digest: number; readonly algorithm: HashName; readonly slots: SharedArrayBuffer }
  | { readonly kind: 'update'; readonly digest: number; readonly slot: number; readonly length: number }
  | { readonly kind: 'finish'; readonly digest: number }
  | { readonly kind: 'file'; readonly digest: number; readonly algorithm: HashName; readonly path: string }
  | { readonly kind: 'drop'; readonly digest: number };

/** What a hashing thread says: a slot was read, so many bytes of a file were, the digest in hex, or why there is none. */
export type HashNews =
  | { readonly digest: number; readonly slot: number }
  | { readonly digest: number; readonly done: number }
  | { readonly digest: number; readonly hex: string }
  | { readonly digest: number; readonly error: unknown };
