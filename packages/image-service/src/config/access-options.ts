import { boolean, choice, integer, list, path, text } from './option-types.ts';
import type { Definitions } from './options.ts';

/** How the service itself logs in to Keystone. */
export const AUTH_TYPES = ['password', 'v3password', 'v3applicationcredential'] as const;
/** The interfaces of Keystone's catalogue. */
export const INTERFACES = ['internal', 'public', 'admin'] as const;

/** The value of every option about who is calling and what they may do. */
export interface AccessOptionValues {
  readonly flavor: string | undefined;
  readonly tokenFile: string | undefined;
  readonly policyFile: string | undefined;
  readonly policyDirs: readonly string[] | undefined;
  readonly enforceScope: boolean | undefined;
  readonly enforceNewDefaults: boolean | undefined;
  readonly authUrl: string | undefined;
  readonly wwwAuthenticateUri: string | undefined;
  readonly authType: (typeof AUTH_TYPES)[number];
  readonly username: string | undefined;
  readonly userId: string | undefined;
  readonly password: string | undefined;
  readonly userDomainId: string | undefined;
  readonly userDomainName: string | undefined;
  readonly projectId: string | undefined;
  readonly projectName: string | undefined;
  readonly projectDomainId: string | undefined;
  readonly projectDomainName: string | undefined;
  readonly systemScope: string | undefined;
  readonly applicationCredentialId: string | undefined;
  readonly applicationCredentialName: string | undefined;
  readonly applicationCredentialSecret: string | undefined;
  readonly interface: (typeof INTERFACES)[number];
  readonly regionName: string | undefined;
  readonly cafile: string | undefined;
  readonly insecure: boolean;
  readonly httpConnectTimeout: number;
  readonly httpRequestMaxRetries: number;
  readonly tokenCacheTime: number;
  readonly serviceTokenRoles: readonly string[];
  readonly serviceTokenRolesRequired: boolean;
  readonly delayAuthDecision: boolean;
  readonly memcachedServers: string | undefined;
}

const AUTHTOKEN = 'keystone_authtoken';
const ONE_CACHE = 'is accepted but has no effect: each process remembers tokens by itself';
const ALWAYS_NEW = 'is accepted but has no effect: the rules are always the new defaults, and projects always checked';

/** Every option about who is calling and what they may do. */
export const ACCESS_OPTIONS: Definitions<AccessOptionValues> = {
  flavor: {
    section: 'paste_deploy',
    name: 'flavor',
    type: text,
    sample: 'keystone',
    help: 'Who is calling: "keystone" checks tokens of Keystone. "+caching" and "+cachemanagement" may follow it.\nWithout it, and without token_file, everybody is the administrator, and only this machine is served.',
  },
  tokenFile: {
    section: 'diskmorph',
    name: 'token_file',
    type: path,
    sample: '/etc/diskmorph/tokens.yaml',
    help: 'Tokens that are known beside those of Keystone, or instead of it; `diskmorph token` makes them.',
  },
  policyFile: {
    section: 'oslo_policy',
    name: 'policy_file',
    type: text,
    sample: 'policy.yaml',
    help: 'Rules that differ from the defaults, beside the first configuration file when no directory is named.\nWithout this option policy.yaml is read if it is there.',
  },
  policyDirs: {
    section: 'oslo_policy',
    name: 'policy_dirs',
    type: list,
    sample: 'policy.d',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: 'is accepted but has no effect: write every rule in policy_file',
  },
  enforceScope: {
    section: 'oslo_policy',
    name: 'enforce_scope',
    type: boolean,
    sample: 'true',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: ALWAYS_NEW,
  },
  enforceNewDefaults: {
    section: 'oslo_policy',
    name: 'enforce_new_defaults',
    type: boolean,
    sample: 'true',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: ALWAYS_NEW,
  },
  authUrl: {
    section: AUTHTOKEN,
    name: 'auth_url',
    type: text,
    sample: 'http://keystone.example:5000/v3',
    help: 'Where Keystone is.',
  },
  wwwAuthenticateUri: {
    section: AUTHTOKEN,
    name: 'www_authenticate_uri',
    type: text,
    sample: 'https://keystone.example:5000',
    help: 'Where clients without a token are sent; auth_url when it is not given.',
    deprecated: [{ section: AUTHTOKEN, name: 'auth_uri' }],
  },
  authType: {
    section: AUTHTOKEN,
    name: 'auth_type',
    type: choice(AUTH_TYPES),
    default: 'password',
    help: 'How the service itself logs in.',
    deprecated: [{ section: AUTHTOKEN, name: 'auth_plugin' }],
  },
  username: {
    section: AUTHTOKEN,
    name: 'username',
    type: text,
    sample: 'glance',
    help: 'The user of the service: it needs the role service or admin in its project.',
    deprecated: [{ section: AUTHTOKEN, name: 'user_name' }],
  },
  userId: { section: AUTHTOKEN, name: 'user_id', type: text, sample: '', help: 'Instead of username.' },
  password: {
    section: AUTHTOKEN,
    name: 'password',
    type: text,
    sample: 'secret',
    help: 'The password of that user; a dollar sign is written twice.',
    secret: true,
  },
  userDomainId: {
    section: AUTHTOKEN,
    name: 'user_domain_id',
    type: text,
    sample: 'default',
    help: 'The domain of the user.',
  },
  userDomainName: {
    section: AUTHTOKEN,
    name: 'user_domain_name',
    type: text,
    sample: 'Default',
    help: 'Instead of user_domain_id.',
  },
  projectId: {
    section: AUTHTOKEN,
    name: 'project_id',
    type: text,
    sample: '',
    help: 'Instead of project_name.',
    deprecated: [{ section: AUTHTOKEN, name: 'tenant_id' }],
  },
  projectName: {
    section: AUTHTOKEN,
    name: 'project_name',
    type: text,
    sample: 'service',
    help: 'The project that the user acts for.',
    deprecated: [{ section: AUTHTOKEN, name: 'tenant_name' }],
  },
  projectDomainId: {
    section: AUTHTOKEN,
    name: 'project_domain_id',
    type: text,
    sample: 'default',
    help: 'The domain of the project.',
  },
  projectDomainName: {
    section: AUTHTOKEN,
    name: 'project_domain_name',
    type: text,
    sample: 'Default',
    help: 'Instead of project_domain_id.',
  },
  systemScope: {
    section: AUTHTOKEN,
    name: 'system_scope',
    type: choice(['all']),
    sample: 'all',
    help: 'Act for the whole system instead of a project.',
  },
  applicationCredentialId: {
    section: AUTHTOKEN,
    name: 'application_credential_id',
    type: text,
    sample: '',
    help: 'For auth_type v3applicationcredential.',
  },
  applicationCredentialName: {
    section: AUTHTOKEN,
    name: 'application_credential_name',
    type: text,
    sample: '',
    help: 'Instead of application_credential_id; the user is needed then too.',
  },
  applicationCredentialSecret: {
    section: AUTHTOKEN,
    name: 'application_credential_secret',
    type: text,
    sample: 'secret',
    help: 'For auth_type v3applicationcredential; a dollar sign is written twice.',
    secret: true,
  },
  interface: {
    section: AUTHTOKEN,
    name: 'interface',
    type: choice(INTERFACES),
    default: 'internal',
    help: 'Which endpoint of Keystone in its catalogue checks tokens.',
  },
  regionName: {
    section: AUTHTOKEN,
    name: 'region_name',
    type: text,
    sample: 'RegionOne',
    help: 'The region of that endpoint; the first one found when it is not given.',
  },
  cafile: {
    section: AUTHTOKEN,
    name: 'cafile',
    type: path,
    sample: '/etc/ssl/certs/keystone-ca.pem',
    help: 'Certificates in PEM that Keystone may have instead of those the system trusts.',
  },
  insecure: {
    section: AUTHTOKEN,
    name: 'insecure',
    type: boolean,
    default: 'false',
    help: 'Believe whoever answers in place of Keystone, whatever its certificate.',
  },
  httpConnectTimeout: {
    section: AUTHTOKEN,
    name: 'http_connect_timeout',
    type: integer({ min: 1, max: 600 }),
    default: '10',
    help: 'Seconds until an answer of Keystone must be there.',
  },
  httpRequestMaxRetries: {
    section: AUTHTOKEN,
    name: 'http_request_max_retries',
    type: integer({ min: 0, max: 10 }),
    default: '3',
    help: 'How often a call is repeated that does not come through.',
  },
  tokenCacheTime: {
    section: AUTHTOKEN,
    name: 'token_cache_time',
    type: integer({ min: -1, max: 86_400 }),
    default: '300',
    help: 'Seconds for which a good token is believed without asking again: so long a revoked one may live. -1: ask always.',
  },
  serviceTokenRoles: {
    section: AUTHTOKEN,
    name: 'service_token_roles',
    type: list,
    default: 'service',
    help: "Roles by which services are known that pass calls on; their callers' tokens may have ended meanwhile.",
  },
  serviceTokenRolesRequired: {
    section: AUTHTOKEN,
    name: 'service_token_roles_required',
    type: boolean,
    default: 'false',
    help: 'Refuse calls with a service token whose user has none of these roles.',
  },
  delayAuthDecision: {
    section: AUTHTOKEN,
    name: 'delay_auth_decision',
    type: boolean,
    default: 'false',
    help: 'Can only be false: nobody is let through without a good token.',
  },
  memcachedServers: {
    section: AUTHTOKEN,
    name: 'memcached_servers',
    type: text,
    sample: '127.0.0.1:11211',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: ONE_CACHE,
  },
};
