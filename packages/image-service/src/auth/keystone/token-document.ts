import { z } from 'zod';
import type { Caller } from '../caller.ts';
import { IdentityFault } from './identity-http.ts';

/** Of a caller, what no token says by itself. */
type NotOfTokens = 'isAdmin' | 'serviceRoles' | 'serviceUserId' | 'serviceProjectId';

/** What Keystone says of a token, which always has a user and an end. */
export interface TokenFacts extends Omit<Caller, NotOfTokens> {
  readonly userId: string;
  readonly expiresAt: number;
}

/** One endpoint of the catalogue. */
export interface CatalogEndpoint {
  readonly type: string;
  readonly interface: string;
  readonly region: string | null;
  readonly url: string;
}

const NAMED = z.object({ id: z.string(), name: z.string().nullish() });
const IN_DOMAIN = NAMED.extend({ domain: NAMED.partial().nullish() });
const DOCUMENT = z.object({
  token: z.object({
    user: IN_DOMAIN,
    project: IN_DOMAIN.nullish(),
    domain: NAMED.nullish(),
    system: z.object({ all: z.boolean().optional() }).nullish(),
    roles: z.array(z.object({ name: z.string() })).nullish(),
    is_admin_project: z.boolean().nullish(),
    expires_at: z.string(),
    catalog: z
      .array(
        z.object({
          type: z.string(),
          endpoints: z.array(
            z.object({
              interface: z.string(),
              region: z.string().nullish(),
              region_id: z.string().nullish(),
              url: z.string(),
            }),
          ),
        }),
      )
      .nullish(),
  }),
});

/** A token document as Keystone's v3 sends it: the facts, and the catalogue where there is one. Throws `IdentityFault`. */
export function readTokenDocument(body: string): {
  readonly facts: TokenFacts;
  readonly catalog: readonly CatalogEndpoint[];
} {
  const parsed = DOCUMENT.safeParse(parseJson(body));
  if (!parsed.success) throw new IdentityFault('Keystone answers with something that is no token of version 3');
  const { token } = parsed.data;
  const expiresAt = Date.parse(token.expires_at);
  if (Number.isNaN(expiresAt)) throw new IdentityFault('Keystone answers with a token whose end is no time');
  const catalog = (token.catalog ?? []).flatMap(({ type, endpoints }) =>
    endpoints.map((endpoint) => ({
      type,
      interface: endpoint.interface,
      region: endpoint.region_id ?? endpoint.region ?? null,
      url: endpoint.url,
    })),
  );
  const facts: TokenFacts = {
    userId: token.user.id,
    userName: token.user.name ?? null,
    userDomainId: token.user.domain?.id ?? null,
    projectId: token.project?.id ?? null,
    projectName: token.project?.name ?? null,
    projectDomainId: token.project?.domain?.id ?? null,
    domainId: token.domain?.id ?? null,
    systemScope: token.system?.all === true ? 'all' : null,
    roles: (token.roles ?? []).map((role) => role.name.toLowerCase()),
    // Keystone leaves it out where no administrators' project is configured: then every project counts as one.
    isAdminProject: token.is_admin_project ?? true,
    expiresAt,
  };
  return { facts, catalog };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
