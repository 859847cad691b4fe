/**
 * Why an import is refused or fails, besides what `ImageError`, `StagingError`, `StoreError` and `CatalogError` say.
 *
 * - `format_mismatch`: the content is not what the image was declared to be.
 * - `unsafe_image`: a safety rule refuses the content.
 * - `not_convertible`: there is no reader for the declared format, or none for what it is.
 * - `invalid_value`: a name or an option that is not known here.
 * - `conflict`: the image is not in the state that an import needs.
 * - `busy`: as much of this as may be done at the same time is being done.
 * - `last_location`: no other store has the image.
 * - `hash_mismatch`: the data has another digest than was said.
 * - `gone`: the image was deleted, or taken by somebody else, while its data came.
 * - `reader_hung`, `reader_died`, `reader_out_of_memory`: reading the image took too long, made the process fail that
 *   read it, or took more memory than it may.
 * - `reader_busy`: too many images are being read.
 */
export type ImportErrorCode =
  | 'format_mismatch'
  | 'unsafe_image'
  | 'not_convertible'
  | 'invalid_value'
  | 'conflict'
  | 'busy'
  | 'last_location'
  | 'hash_mismatch'
  | 'gone'
  | 'reader_hung'
  | 'reader_died'
  | 'reader_out_of_memory'
  | 'reader_busy';

/** A refusal of the import; the message is fit for users. */
export class ImportError extends Error {
  readonly code: ImportErrorCode;

  constructor(code: ImportErrorCode, message: string) {
    super(message);
    this.name = 'ImportError';
    this.code = code;
  }
}
