import { createHash } from 'node:crypto';
import { boundedCache } from './bounded-cache.ts';
import type { IdentityAnswer, IdentityHttp } from './identity-http.ts';
import { IdentityFault } from './identity-http.ts';
import type { OwnTokenKeeper } from './own-token.ts';
import type { KeystoneSettings } from './settings.ts';
import type { TokenFacts } from './token-document.ts';
import { readTokenDocument } from './token-document.ts';

/** Whether a token that has ended is still good: it is for calls that a service passes on. */
export type ExpiredTokens = 'refused' | 'allowed';

/** Checks tokens, and remembers the outcome for a while. */
export interface TokenCheck {
  /** What is known of the token; undefined when it is not good. Throws `IdentityFault` when that cannot be found out. */
  check(token: string, expired: ExpiredTokens): Promise<TokenFacts | undefined>;
}

/** What Keystone's tokens look like: printable, no spaces, shorter than a header may be. */
const TOKEN_SHAPE = /^[\x21-\x7e]{1,8192}$/;

interface Keystone {
  readonly settings: KeystoneSettings;
  readonly http: IdentityHttp;
  readonly own: OwnTokenKeeper;
  readonly now: () => number;
}

/** A check that asks Keystone. Calls with the same token at the same time ask once. The cache holds no token, but digests. */
export function tokenCheck(keystone: Keystone): TokenCheck {
  const { settings, now } = keystone;
  const good = boundedCache<TokenFacts>(settings.cacheEntries);
  const bad = boundedCache<true>(settings.cacheEntries);
  const pending = new Map<string, Promise<TokenFacts | undefined>>();
  const askAndRemember = async (
    token: string,
    key: string,
    expired: ExpiredTokens,
  ): Promise<TokenFacts | undefined> => {
    const facts = await askForToken(keystone, token, expired);
    if (facts === undefined) bad.set(key, true, now() + settings.refusalCacheMs);
    else good.set(key, facts, now() + settings.cacheMs);
    return facts;
  };
  return {
    async check(token, expired) {
      if (!TOKEN_SHAPE.test(token)) return undefined;
      const key = `${expired} ${createHash('sha256').update(token).digest('base64')}`;
      if (bad.get(key, now()) !== undefined) return undefined;
      let facts = good.get(key, now());
      if (facts === undefined) {
        const asked = pending.get(key) ?? askAndRemember(token, key, expired).finally(() => void pending.delete(key));
        pending.set(key, asked);
        facts = await asked;
      }
      // Keystone's clock and ours: whichever says first that the token has ended is believed.
      return facts !== undefined && (expired === 'allowed' || facts.expiresAt > now()) ? facts : undefined;
    },
  };
}

/** What asking Keystone about tokens takes. */
export type AskedKeystone = Pick<Keystone, 'http' | 'own'>;

async function askForToken(keystone: Keystone, token: string, expired: ExpiredTokens): Promise<TokenFacts | undefined> {
  const query = `?nocatalog=1${expired === 'allowed' ? '&allow_expired=1' : ''}`;
  const body = await askAboutToken(keystone, token, query);
  return body === undefined ? undefined : readTokenDocument(body).facts;
}

/**
 * The document of a token; undefined when it is not good. Throws `IdentityFault`. Identity API v3, "Validate and show
 * information for token".
 */
export async function askAboutToken(
  keystone: AskedKeystone,
  token: string,
  query: string,
): Promise<string | undefined> {
  let answer = await validate(keystone, token, query);
  // Our own token may have been revoked before its time.
  if (answer.status === 401) answer = await validate(keystone, token, query);
  if (answer.status === 200) return answer.body;
  if (answer.status === 404) return undefined;
  if (answer.status === 401) throw new IdentityFault('Keystone no longer takes the token of the service');
  if (answer.status === 403) throw new IdentityFault('Keystone does not let the user of the service check tokens');
  throw new IdentityFault(`Keystone answers the check of a token with status ${answer.status}`);
}

async function validate({ http, own }: AskedKeystone, token: string, query: string): Promise<IdentityAnswer> {
  const held = await own.get();
  const answer = await http.call({
    method: 'GET',
    url: `${held.identityUrl}/auth/tokens${query}`,
    headers: { 'x-auth-token': held.token, 'x-subject-token': token },
  });
  if (answer.status === 401) own.forget(held.token);
  return answer;
}
