import type { CatalogEndpoint } from './token-document.ts';
import { readTokenDocument } from './token-document.ts';
import type { AskedKeystone } from './token-check.ts';
import { askAboutToken } from './token-check.ts';

/** Where the services are that a token is good for. */
export interface TokenCatalog {
  /** The endpoints in the token's catalogue; undefined when the token is not good. Throws `IdentityFault`. */
  endpoints(token: string): Promise<readonly CatalogEndpoint[] | undefined>;
}

/** Asks Keystone each time: what is asked for begins long work. */
export function tokenCatalog(keystone: AskedKeystone): TokenCatalog {
  return {
    async endpoints(token) {
      const body = await askAboutToken(keystone, token, '');
      return body === undefined ? undefined : readTokenDocument(body).catalog;
    },
  };
}
