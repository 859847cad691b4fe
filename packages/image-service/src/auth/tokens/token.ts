import { createHash, timingSafeEqual } from 'node:crypto';

/** Begins every static token, so that it is told from tokens of an identity service, and found by secret scanners. */
export const TOKEN_PREFIX = 'dmt_';

const ID_BYTES = 6;
const SECRET_BYTES = 32;
const SALT_BYTES = 16;

/** `dmt_`, the public id (12 hexadecimal digits), `_`, and 256 random bits in base64url. */
const TOKEN_SHAPE = /^dmt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;
const HASH_SHAPE = /^sha256\$([0-9a-f]{32})\$([0-9a-f]{64})$/;

/** A new token: its id and hash may be kept in a file, the token itself is for its user alone. */
export interface NewToken {
  readonly token: string;
  readonly id: string;
  readonly hash: string;
}

/** Makes a token from random bytes, such as those of `crypto.randomBytes`. */
export function newToken(randomBytes: (length: number) => Uint8Array): NewToken {
  const id = Buffer.from(randomBytes(ID_BYTES)).toString('hex');
  const token = `${TOKEN_PREFIX}${id}_${Buffer.from(randomBytes(SECRET_BYTES)).toString('base64url')}`;
  const salt = Buffer.from(randomBytes(SALT_BYTES));
  return { token, id, hash: `sha256$${salt.toString('hex')}$${digest(salt, token).toString('hex')}` };
}

/** The public id in a token; undefined when it is no static token. */
export function tokenId(token: string): string | undefined {
  return TOKEN_SHAPE.exec(token)?.[1];
}

/** Whether `hash` has the form that `tokenMatches` takes. */
export function isTokenHash(hash: string): boolean {
  return HASH_SHAPE.test(hash);
}

/**
 * Whether the token is the one that was hashed: `sha256$<salt>$<digest of salt and token>`, in hexadecimal. A fast
 * digest is enough for 256 random bits: there is nothing to guess. Takes as long for a wrong token as for the right one.
 */
export function tokenMatches(token: string, hash: string): boolean {
  const [, salt, expected] = HASH_SHAPE.exec(hash) ?? [];
  if (salt === undefined || expected === undefined) return false;
  return timingSafeEqual(digest(Buffer.from(salt, 'hex'), token), Buffer.from(expected, 'hex'));
}

function digest(salt: Uint8Array, token: string): Buffer {
  return createHash('sha256').update(salt).update(token).digest();
}
