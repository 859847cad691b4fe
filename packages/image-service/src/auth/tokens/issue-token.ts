import type { TokenEntry } from './token-file.ts';
import { addToTokenFile } from './token-file.ts';
import { newToken } from './token.ts';

/** Who gets a token; `expires` in milliseconds since 1970. */
export interface TokenHolder {
  readonly userId: string;
  readonly projectId: string | null;
  readonly roles: readonly string[];
  readonly expires?: number;
  readonly comment?: string;
}

/**
 * Makes a token, adds its hash to the file at `path` and gives the token, which is kept nowhere. `randomBytes` is
 * `crypto.randomBytes` or as good. Throws `TokenFileError`, and the system's errors.
 */
export async function issueToken(
  path: string,
  holder: TokenHolder,
  randomBytes: (length: number) => Uint8Array,
): Promise<string> {
  const { token, id, hash } = newToken(randomBytes);
  const { userId, projectId, roles, expires, comment } = holder;
  const entry: TokenEntry = {
    id,
    hash,
    user_id: userId,
    project_id: projectId,
    roles,
    ...(expires === undefined ? {} : { expires: new Date(expires).toISOString() }),
    ...(comment === undefined ? {} : { comment }),
  };
  await addToTokenFile(path, entry);
  return token;
}
