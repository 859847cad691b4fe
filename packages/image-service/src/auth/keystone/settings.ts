/** A name with its domain, or an id. */
export interface NamedInDomain {
  readonly id?: string;
  readonly name?: string;
  readonly domainId?: string;
  readonly domainName?: string;
}

/** How the service itself logs in to Keystone. */
export type ServiceCredentials =
  | {
      readonly method: 'password';
      readonly user: NamedInDomain;
      readonly password: string;
      /** The project that the service user acts for; `system`: for the whole system. */
      readonly scope: NamedInDomain | 'system';
    }
  | {
      readonly method: 'application_credential';
      readonly credential: { readonly id?: string; readonly name?: string };
      /** Needed where the credential is given by name. */
      readonly user?: NamedInDomain;
      readonly secret: string;
    };

/** How tokens of Keystone are checked. */
export interface KeystoneSettings {
  /** With its version, as in `https://keystone.example/v3`. */
  readonly authUrl: string;
  readonly credentials: ServiceCredentials;
  /** Which endpoint of the catalogue is asked; without an identity service in the catalogue `authUrl` is. */
  readonly interface: string;
  readonly region: string | undefined;
  /** The address that clients without a token are told. */
  readonly challengeUri: string;
  /** Certificates that are trusted, in PEM; those of the system when absent. */
  readonly ca: string | undefined;
  readonly verifyCertificates: boolean;
  readonly requestTimeoutMs: number;
  /** How often a call is repeated that did not come through, or came back with 5xx. */
  readonly retries: number;
  /** How long a good token is believed without asking again; a revoked one may live so long. 0: always ask. */
  readonly cacheMs: number;
  /** How long a bad token stays bad without asking again. */
  readonly refusalCacheMs: number;
  /** The most tokens that are remembered, good and bad ones each. */
  readonly cacheEntries: number;
  /** A service token counts when its user has one of these roles. */
  readonly serviceTokenRoles: readonly string[];
  /** Refuse calls whose service token does not count. */
  readonly serviceTokenRolesRequired: boolean;
}
