/**
 * Why nobody can be let in.
 *
 * - `unauthenticated`: the caller did not prove who they are. HTTP 401, with `challenge` as WWW-Authenticate.
 * - `identity_unavailable`: the identity service cannot be asked now. HTTP 503, with `retryAfterSeconds` as Retry-After.
 */
export type AuthErrorCode = 'unauthenticated' | 'identity_unavailable';

/** What an answer to the caller needs beside the message. */
export interface AuthErrorDetails {
  /** The value of a WWW-Authenticate header; there with every `unauthenticated`. */
  readonly challenge?: string;
  /** When to ask again; there with every `identity_unavailable`. */
  readonly retryAfterSeconds?: number;
  /** For the log. */
  readonly cause?: unknown;
}

/** A refusal to say who is calling. The message is fit for users and holds no token; `cause` is for the log alone. */
export class AuthError extends Error {
  readonly code: AuthErrorCode;
  readonly challenge: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: AuthErrorCode, message: string, details: AuthErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'AuthError';
    this.code = code;
    this.challenge = details.challenge;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}
