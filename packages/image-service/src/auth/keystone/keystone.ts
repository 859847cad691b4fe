import type { Authenticator, CallHeaders, Caller } from '../caller.ts';
import { AuthError } from '../errors.ts';
import { IdentityFault, identityHttp } from './identity-http.ts';
import { ownToken } from './own-token.ts';
import type { KeystoneSettings } from './settings.ts';
import type { ExpiredTokens } from './token-check.ts';
import { tokenCatalog } from './token-catalog.ts';
import { tokenCheck } from './token-check.ts';
import type { CatalogEndpoint, TokenFacts } from './token-document.ts';

/** Knows callers by tokens of Keystone, and where the services are that these are good for. */
export interface KeystoneAccess extends Authenticator {
  /** The endpoints in the catalogue of a caller's token. Throws as `authenticate` does. */
  endpoints(token: string): Promise<readonly CatalogEndpoint[]>;
}

/** What the authenticator needs of its surroundings. */
export interface KeystoneSurroundings {
  /** Gets a line when Keystone cannot be asked, and when it can again. */
  readonly log: (message: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** When a client should ask again while Keystone is away, in seconds. */
const RETRY_AFTER_SECONDS = 5;

/**
 * Knows callers by tokens of Keystone in X-Auth-Token, and services that pass calls on by theirs in X-Service-Token.
 * Identity API v3.
 */
export function keystone(settings: KeystoneSettings, surroundings: KeystoneSurroundings): KeystoneAccess {
  const { now, sleep } = surroundings;
  const http = identityHttp(settings, sleep);
  const own = ownToken(settings, http, now);
  const checker = tokenCheck({ settings, http, own, now });
  const catalog = tokenCatalog({ http, own });
  const challenge = `Keystone uri="${settings.challengeUri.replaceAll(/["\\]/g, '')}"`;
  const outcome = outcomeLog(surroundings.log);

  const factsOf = async (token: string, expired: ExpiredTokens, signal?: AbortSignal): Promise<TokenFacts> => {
    const facts = await untilAborted(outcome.watch(checker.check(token, expired)), signal);
    if (facts === undefined) throw new AuthError('unauthenticated', 'The token is not good', { challenge });
    return facts;
  };
  return {
    async authenticate(headers: CallHeaders, signal?: AbortSignal) {
      signal?.throwIfAborted();
      const token = headers.get('x-auth-token') ?? '';
      if (token === '') throw new AuthError('unauthenticated', 'A token is needed in X-Auth-Token', { challenge });
      const serviceToken = headers.get('x-service-token') ?? '';
      const service = serviceToken === '' ? undefined : await factsOf(serviceToken, 'refused', signal);
      const counts = service?.roles.some((role) => settings.serviceTokenRoles.includes(role)) ?? false;
      if (service !== undefined && !counts && settings.serviceTokenRolesRequired) {
        throw new AuthError('unauthenticated', 'The service token has none of the roles of services', { challenge });
      }
      return callerOf(await factsOf(token, counts ? 'allowed' : 'refused', signal), service);
    },
    async endpoints(token) {
      const found = await outcome.watch(catalog.endpoints(token));
      if (found === undefined) throw new AuthError('unauthenticated', 'The token is not good', { challenge });
      return found;
    },
    close: async () => http.close(),
  };
}

function callerOf(facts: TokenFacts, service: TokenFacts | undefined): Caller {
  return {
    ...facts,
    isAdmin: false,
    serviceRoles: service?.roles ?? [],
    serviceUserId: service?.userId ?? null,
    serviceProjectId: service?.projectId ?? null,
  };
}

/** Says once that Keystone is away, and once that it is back, however many calls find it out. */
function outcomeLog(log: (message: string) => void): { watch<T>(asked: Promise<T>): Promise<T> } {
  let lastFault: string | undefined;
  return {
    async watch(asked) {
      try {
        const answer = await asked;
        if (lastFault !== undefined) log('tokens can be checked again');
        lastFault = undefined;
        return answer;
      } catch (error) {
        if (!(error instanceof IdentityFault)) throw error;
        if (lastFault !== error.message) log(`tokens cannot be checked: ${error.message}`);
        lastFault = error.message;
        throw new AuthError('identity_unavailable', 'The identity service cannot be asked now', {
          retryAfterSeconds: RETRY_AFTER_SECONDS,
          cause: error,
        });
      }
    },
  };
}

/** Others may wait for the same answer: who gives up leaves it to them. */
async function untilAborted<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return shared;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([shared, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
