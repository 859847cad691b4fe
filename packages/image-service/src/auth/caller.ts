/** Who is calling, as far as it was proved. Names and ids are the identity service's; null where there is none. */
export interface Caller {
  readonly userId: string | null;
  readonly userName: string | null;
  readonly userDomainId: string | null;
  /** The project that the caller acts for: what they create belongs to it. Null: no project. */
  readonly projectId: string | null;
  readonly projectName: string | null;
  readonly projectDomainId: string | null;
  /** The domain that the caller acts for, where the token is for a domain. */
  readonly domainId: string | null;
  /** `all` where the token is for the whole system. */
  readonly systemScope: string | null;
  /** In lower case: the names of roles are compared without regard to case. */
  readonly roles: readonly string[];
  /** The project is the one that administrators act for, or the identity service names no such project. */
  readonly isAdminProject: boolean;
  /** The rule `context_is_admin` holds: sees and may change what belongs to others. */
  readonly isAdmin: boolean;
  /** Roles of the service that passed the call on with a token of its own; empty where there was none. In lower case. */
  readonly serviceRoles: readonly string[];
  readonly serviceUserId: string | null;
  readonly serviceProjectId: string | null;
  /** When the proof ends, in milliseconds since 1970; null: never. Long work outlives it. */
  readonly expiresAt: number | null;
}

/** The headers of a call; names are asked for in lower case. A `Map` with such keys and a `Headers` both are this. */
export interface CallHeaders {
  get(name: string): string | null | undefined;
}

/** Finds out who is calling. */
export interface Authenticator {
  /**
   * Who sent these headers. Throws `AuthError`: `unauthenticated` when they prove nobody, `identity_unavailable` when
   * that cannot be found out now. A cancelled `signal` rejects with its reason.
   */
  authenticate(headers: CallHeaders, signal?: AbortSignal): Promise<Caller>;
  /** Lets go of files and connections. */
  close(): Promise<void>;
}

/**
 * What a call acts upon: the attributes that rules name as `%(name)s`. For an image: `project_id` (its owner; null:
 * nobody), `image_id`, `visibility`, and `member_id` where the call is about a member (for sharing: the projects that
 * it is shared with is for the caller of `allows` to look up).
 */
export type PolicyTarget = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Decides who may do what. */
export interface Policy {
  /** True when the rule lets the caller do it to the target. A rule that nobody defined lets nobody. */
  allows(rule: string, caller: Caller, target: PolicyTarget): boolean;
}

/** The caller when nobody is asked who they are: an administrator without a project. */
export const LOCAL_ADMINISTRATOR: Caller = {
  userId: null,
  userName: null,
  userDomainId: null,
  projectId: null,
  projectName: null,
  projectDomainId: null,
  domainId: null,
  systemScope: null,
  roles: ['admin', 'member', 'reader'],
  isAdminProject: true,
  isAdmin: true,
  serviceRoles: [],
  serviceUserId: null,
  serviceProjectId: null,
  expiresAt: null,
};

/** Takes everybody for the local administrator: for a service that only its own machine can reach. */
export function noAuthentication(): Authenticator {
  return {
    authenticate: async () => LOCAL_ADMINISTRATOR,
    close: async () => {},
  };
}
