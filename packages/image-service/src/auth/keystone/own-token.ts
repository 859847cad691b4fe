import type { IdentityHttp } from './identity-http.ts';
import { IdentityFault } from './identity-http.ts';
import type { KeystoneSettings, NamedInDomain, ServiceCredentials } from './settings.ts';
import type { CatalogEndpoint } from './token-document.ts';
import { readTokenDocument } from './token-document.ts';

/** The token of the service itself, and where tokens are checked with it. */
export interface OwnToken {
  readonly token: string;
  readonly expiresAt: number;
  /** With its version, without a slash at the end. */
  readonly identityUrl: string;
}

/** Keeps the service logged in. */
export interface OwnTokenKeeper {
  /** A token that is good for a while. Callers at the same time share one log-in. Throws `IdentityFault`. */
  get(): Promise<OwnToken>;
  /** Keystone no longer takes this token: the next `get` logs in again. */
  forget(token: string): void;
}

/** A token is renewed when it has less left than this, so that it does not end on its way. */
const RENEW_BEFORE_MS = 60_000;

/** Logs in when a token is needed, and again before it ends. */
export function ownToken(settings: KeystoneSettings, http: IdentityHttp, now: () => number): OwnTokenKeeper {
  let held: OwnToken | undefined;
  let pending: Promise<OwnToken> | undefined;
  const renew = async (): Promise<OwnToken> => {
    held = await logIn(settings, http);
    return held;
  };
  return {
    get() {
      if (held !== undefined && held.expiresAt - now() > RENEW_BEFORE_MS) return Promise.resolve(held);
      pending ??= renew().finally(() => {
        pending = undefined;
      });
      return pending;
    },
    forget(token) {
      if (held?.token === token) held = undefined;
    },
  };
}

async function logIn(settings: KeystoneSettings, http: IdentityHttp): Promise<OwnToken> {
  const answer = await http.call({
    method: 'POST',
    url: `${settings.authUrl}/auth/tokens`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(logInBody(settings.credentials)),
  });
  if (answer.status === 401) {
    throw new IdentityFault('Keystone refuses the user of the service: its name, password, project or domain is wrong');
  }
  const token = answer.headers['x-subject-token'];
  if (answer.status !== 201 || typeof token !== 'string') {
    throw new IdentityFault(`Keystone answers the log-in of the service with status ${answer.status}`);
  }
  const { facts, catalog } = readTokenDocument(answer.body);
  return { token, expiresAt: facts.expiresAt, identityUrl: identityUrl(settings, catalog) };
}

/** The endpoint of the identity service in the catalogue; `authUrl` where it lists none. */
function identityUrl(settings: KeystoneSettings, catalog: readonly CatalogEndpoint[]): string {
  const endpoints = catalog.filter((endpoint) => endpoint.type === 'identity');
  if (endpoints.length === 0) return settings.authUrl;
  const found = endpoints.find(
    (endpoint) =>
      endpoint.interface === settings.interface &&
      (settings.region === undefined || endpoint.region === settings.region),
  );
  if (found !== undefined) return versionedUrl(found.url);
  const place = settings.region === undefined ? '' : ` in region ${settings.region}`;
  throw new IdentityFault(
    `Keystone's catalogue has no identity service for the interface ${settings.interface}${place}`,
  );
}

/** The address of version 3 of an identity service that is given with a version or without. */
export function versionedUrl(url: string): string {
  const base = url.replace(/\/+$/, '').replace(/\/v2\.0$/, '');
  return base.endsWith('/v3') ? base : `${base}/v3`;
}

function logInBody(credentials: ServiceCredentials): unknown {
  if (credentials.method === 'password') {
    const { user, password, scope } = credentials;
    return {
      auth: {
        identity: { methods: ['password'], password: { user: { ...reference(user), password } } },
        scope: scope === 'system' ? { system: { all: true } } : { project: reference(scope) },
      },
    };
  }
  const { credential, user, secret } = credentials;
  const owner = user === undefined ? {} : { user: reference(user) };
  const application_credential = { ...credential, ...owner, secret };
  return { auth: { identity: { methods: ['application_credential'], application_credential } } };
}

function reference({ id, name, domainId, domainName }: NamedInDomain): Readonly<Record<string, unknown>> {
  if (id !== undefined) return { id };
  return { name, domain: domainId === undefined ? { name: domainName } : { id: domainId } };
}
