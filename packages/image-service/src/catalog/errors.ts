/**
 * What the catalogue refuses. `conflict`: somebody else changed the record in between. `not_found`: there is none.
 * `forbidden_change`: the record's state does not allow it. `reserved`: a property that only the service may write.
 * `over_quota`: the project would have more than its limits allow.
 * `unavailable`: what its limits are cannot be found out now.
 */
export type CatalogErrorCode =
  | 'conflict'
  | 'not_found'
  | 'forbidden_change'
  | 'reserved'
  | 'over_quota'
  | 'unavailable';

/** A refusal of the catalogue; the message is fit for users. */
export class CatalogError extends Error {
  readonly code: CatalogErrorCode;

  constructor(code: CatalogErrorCode, message: string) {
    super(message);
    this.name = 'CatalogError';
    this.code = code;
  }
}
