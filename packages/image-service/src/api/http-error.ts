import { STATUS_CODES } from 'node:http';

/** An answer that is an error: its status, what is wrong in one sentence, and headers that belong to it. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A stable word for programs, where there is one beyond the status. */
  readonly code: string | undefined;

  constructor(
    status: number,
    message: string,
    more: { readonly headers?: Readonly<Record<string, string>>; readonly code?: string } = {},
  ) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
    this.headers = more.headers ?? {};
    this.code = more.code;
  }
}

/** What is wrong with what was sent. */
export function badRequest(message: string): HttpError {
  return new HttpError(400, message);
}

/** The status of each code of the rooms below; others are faults of our own. The one table. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  not_found: 404,
  conflict: 409,
  forbidden_change: 409,
  reserved: 403,
  invalid_value: 400,
  not_convertible: 400,
  format_mismatch: 400,
  unsafe_image: 400,
  reader_hung: 400,
  reader_died: 400,
  reader_out_of_memory: 400,
  reader_busy: 503,
  bad_id: 400,
  bad_source: 400,
  blocked_address: 400,
  too_large: 413,
  over_quota: 413,
  last_location: 403,
  hash_mismatch: 400,
  insufficient_space: 503,
  full: 413,
  stalled: 408,
  cancelled: 409,
  gone: 410,
  unauthenticated: 401,
  identity_unavailable: 503,
  unavailable: 503,
  busy: 503,
  missing: 404,
  read_only: 409,
  // What makes an image unusable, where somebody asks for its content.
  wrong_format: 409,
  unsupported: 409,
  corrupt: 409,
  truncated: 409,
  unsafe: 409,
  out_of_bounds: 400,
};

const STATUS_BY_FRAMEWORK_CODE: Readonly<Record<string, number>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 415,
  FST_ERR_CTP_BODY_TOO_LARGE: 413,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 400,
  FST_ERR_CTP_EMPTY_JSON_BODY: 400,
  FST_ERR_BAD_URL: 400,
  FST_ERR_ASYNC_CONSTRAINT: 400,
};

/** The answer that an error of any room means; undefined for what nobody foresaw. */
export function httpErrorOf(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  const code = String(error.code);
  const framework = STATUS_BY_FRAMEWORK_CODE[code];
  if (framework !== undefined) return new HttpError(framework, error.message);
  const status = STATUS_BY_CODE[code];
  return status === undefined ? undefined : new HttpError(status, error.message, { code, headers: headersOf(error) });
}

/** What an answer of the identity service's kind needs beside its text. */
function headersOf(error: Error): Readonly<Record<string, string>> {
  const challenge = 'challenge' in error && typeof error.challenge === 'string' ? error.challenge : undefined;
  const retry = 'retryAfterSeconds' in error ? Number(error.retryAfterSeconds) : Number.NaN;
  return {
    ...(challenge === undefined ? {} : { 'www-authenticate': challenge }),
    ...(Number.isFinite(retry) ? { 'retry-after': String(retry) } : {}),
  };
}

/** A body and its media type. */
export interface ErrorBody {
  readonly type: string;
  readonly text: string;
}

/**
 * The body of an error, in the form that the caller accepts. Clients of this API read HTML unless they ask for JSON by
 * name; that is what Glance sends them.
 */
export function errorBody({ status, message, code }: HttpError, accept: string | undefined): ErrorBody {
  const title = STATUS_CODES[status] ?? 'Error';
  if (accept?.includes('application/json') === true && !accept.includes('html')) {
    const document = {
      code: `${status} ${title}`,
      title,
      message,
      ...(code === undefined ? {} : { error_code: code }),
    };
    return { type: 'application/json; charset=utf-8', text: JSON.stringify(document) };
  }
  const text = `<html>\n <head>\n  <title>${status} ${title}</title>\n </head>\n <body>\n  <h1>${status} ${title}</h1>\n  ${escaped(message)}<br /><br />\n\n\n </body>\n</html>`;
  return { type: 'text/html; charset=utf-8', text };
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
