import type { Authenticator, Caller } from '../caller.ts';
import { LOCAL_ADMINISTRATOR } from '../caller.ts';
import { AuthError } from '../errors.ts';
import { watchFile } from '../watched-file.ts';
import { newToken, tokenId, tokenMatches } from './token.ts';
import type { TokenEntry } from './token-file.ts';
import { readTokenFile } from './token-file.ts';

/** Where static tokens come from. */
export interface StaticTokenSettings {
  readonly path: string;
  /** How often to look whether the file has changed. */
  readonly checkEveryMs: number;
  /** The value of WWW-Authenticate for who has none. */
  readonly challenge: string;
  readonly log: (message: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** An authenticator whose file can be looked at again at once. */
export interface StaticTokenAuthenticator extends Authenticator {
  refresh(): Promise<void>;
}

/** Knows callers by the tokens of a file, read again when it changes. Throws `TokenFileError` when it cannot be used. */
export async function staticTokens(settings: StaticTokenSettings): Promise<StaticTokenAuthenticator> {
  const { path, checkEveryMs: everyMs, challenge, log, now } = settings;
  const file = await watchFile({ path, read: readTokenFile, everyMs, log });
  // An unknown id costs as much time as a known one.
  const nobodys = newToken((length) => new Uint8Array(length)).hash;
  return {
    async authenticate(headers) {
      const token = headers.get('x-auth-token') ?? '';
      if (token === '') throw new AuthError('unauthenticated', 'A token is needed in X-Auth-Token', { challenge });
      const id = tokenId(token);
      const entry = id === undefined ? undefined : file.current().get(id);
      const matches = tokenMatches(token, entry?.hash ?? nobodys);
      if (entry === undefined || !matches)
        throw new AuthError('unauthenticated', 'The token is not known', { challenge });
      const expiresAt = entry.expires === undefined ? null : Date.parse(entry.expires);
      if (expiresAt !== null && expiresAt <= now()) {
        throw new AuthError('unauthenticated', 'The token has expired', { challenge });
      }
      return callerOf(entry, expiresAt);
    },
    refresh: file.refresh,
    close: async () => file.close(),
  };
}

/** Each role and the one that it brings with it, as in a Keystone that was set up by its own bootstrap. */
const IMPLIED: ReadonlyMap<string, readonly string[]> = new Map([
  ['admin', ['member', 'reader']],
  ['member', ['reader']],
]);

function withImplied(given: readonly string[]): readonly string[] {
  const roles = new Set(given.map((role) => role.toLowerCase()));
  for (const role of roles) for (const implied of IMPLIED.get(role) ?? []) roles.add(implied);
  return [...roles];
}

function callerOf(entry: TokenEntry, expiresAt: number | null): Caller {
  const domainId = entry.domain_id ?? 'default';
  return {
    ...LOCAL_ADMINISTRATOR,
    userId: entry.user_id,
    userName: entry.user_name ?? entry.user_id,
    userDomainId: domainId,
    projectId: entry.project_id,
    projectName: entry.project_name ?? entry.project_id,
    projectDomainId: entry.project_id === null ? null : domainId,
    roles: withImplied(entry.roles),
    isAdmin: false,
    expiresAt,
  };
}
