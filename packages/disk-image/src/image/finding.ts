/** How grave a finding is. `unsafe`: do not process the image. `warning`: look before use. `info`: worth knowing. */
export type Severity = 'info' | 'warning' | 'unsafe';

/** One fact about an image file that somebody should know. Plain data. */
export interface Finding {
  /** Stable and documented in `docs/findings.md`; callers branch on it. */
  readonly code: string;
  readonly severity: Severity;
  /** Byte offset in the file of what was found, when it has one place. */
  readonly offset?: number;
  /** One sentence without host paths. */
  readonly message: string;
}

/** A value that JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Named facts of one format, in the words of its specification. */
export type Details = { readonly [key: string]: JsonValue };
