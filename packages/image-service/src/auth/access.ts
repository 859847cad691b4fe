import { access, readFile } from 'node:fs/promises';
import type { Authenticator, Policy } from './caller.ts';
import { noAuthentication } from './caller.ts';
import type { KeystoneAccess } from './keystone/keystone.ts';
import { keystone } from './keystone/keystone.ts';
import type { KeystoneSettings } from './keystone/settings.ts';
import { PolicyError } from './policy/errors.ts';
import { makePolicy } from './policy/policy.ts';
import { readPolicyFile } from './policy/policy-file.ts';
import { staticTokens } from './tokens/static-tokens.ts';
import { TOKEN_PREFIX } from './tokens/token.ts';
import { TokenFileError } from './tokens/token-file.ts';
import { watchFile } from './watched-file.ts';

/** Who is asked who is calling, and where the rules are. */
export interface AccessSettings {
  readonly keystone:
    | (Omit<KeystoneSettings, 'ca' | 'refusalCacheMs' | 'cacheEntries'> & { readonly cafile: string | undefined })
    | undefined;
  readonly tokenFile: string | undefined;
  /** `required`: its absence is an error. */
  readonly policyFile: { readonly path: string; readonly required: boolean } | undefined;
}

/** What it needs of its surroundings. */
export interface AccessSurroundings {
  readonly log: (message: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Who is calling, and what they may do. */
export interface Access {
  readonly authenticator: Authenticator;
  readonly policy: Policy;
  /** Where the services are that a caller's token is good for; absent where no identity service is asked. */
  readonly endpoints?: KeystoneAccess['endpoints'];
  /** `nobody`: everybody is taken for the local administrator. */
  readonly asks: 'everybody' | 'nobody';
  close(): Promise<void>;
}

/** A file of the settings cannot be used: which one, and one line for each thing that is wrong. */
export class AccessError extends Error {
  readonly code = 'access';
  readonly setting: 'tokenFile' | 'policyFile' | 'cafile';
  readonly path: string;
  readonly problems: readonly string[];

  constructor(setting: AccessError['setting'], path: string, problems: readonly string[]) {
    super(`${path}: ${problems.join('; ')}`);
    this.name = 'AccessError';
    this.setting = setting;
    this.path = path;
    this.problems = problems;
  }
}

const CHECK_EVERY_MS = 5000;
const REFUSAL_CACHE_MS = 10_000;
const CACHE_ENTRIES = 10_000;

/** Opens what the settings say; changed token and policy files are read again. Throws `AccessError`. */
export async function openAccess(settings: AccessSettings, surroundings: AccessSurroundings): Promise<Access> {
  const rules = await openPolicy(settings, surroundings);
  try {
    const asked = await openAuthenticators(settings, surroundings);
    const authenticator = asked === undefined ? noAuthentication() : withAdminRule(asked.authenticator, rules.policy);
    return {
      authenticator,
      ...(asked?.endpoints === undefined ? {} : { endpoints: asked.endpoints }),
      policy: rules.policy,
      asks: asked === undefined ? 'nobody' : 'everybody',
      async close() {
        rules.close();
        await authenticator.close();
      },
    };
  } catch (error) {
    rules.close();
    throw error;
  }
}

/** Everything because of which `openAccess` would fail; nobody is asked anything over the network. */
export async function accessFaults(
  settings: AccessSettings,
  surroundings: AccessSurroundings,
): Promise<readonly AccessError[]> {
  const nothing = { keystone: undefined, tokenFile: undefined, policyFile: undefined };
  const parts = [
    { ...nothing, policyFile: settings.policyFile },
    { ...nothing, keystone: settings.keystone },
    { ...nothing, tokenFile: settings.tokenFile },
  ];
  const faults: AccessError[] = [];
  for (const part of parts) {
    try {
      await (await openAccess(part, surroundings)).close();
    } catch (error) {
      if (!(error instanceof AccessError)) throw error;
      faults.push(error);
    }
  }
  return faults;
}

async function openPolicy(
  { policyFile }: AccessSettings,
  { log }: AccessSurroundings,
): Promise<{ readonly policy: Policy; close(): void }> {
  if (policyFile === undefined || (!policyFile.required && !(await isThere(policyFile.path)))) {
    return { policy: makePolicy().policy, close: () => {} };
  }
  const read = async (path: string): Promise<Policy> => {
    const { policy, warnings } = makePolicy(await readPolicyFile(path));
    for (const warning of warnings) log(warning);
    return policy;
  };
  try {
    const file = await watchFile({ path: policyFile.path, read, everyMs: CHECK_EVERY_MS, log });
    const policy: Policy = { allows: (rule, caller, target) => file.current().allows(rule, caller, target) };
    return { policy, close: file.close };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new AccessError('policyFile', policyFile.path, error.lines);
  }
}

async function openAuthenticators(
  settings: AccessSettings,
  surroundings: AccessSurroundings,
): Promise<Asked | undefined> {
  const { keystone: ofKeystone, tokenFile } = settings;
  const identity =
    ofKeystone === undefined
      ? undefined
      : keystone(
          {
            ...ofKeystone,
            ca: ofKeystone.cafile === undefined ? undefined : await readCertificates(ofKeystone.cafile),
            refusalCacheMs: REFUSAL_CACHE_MS,
            cacheEntries: CACHE_ENTRIES,
          },
          surroundings,
        );
  if (tokenFile === undefined) {
    return identity === undefined ? undefined : { authenticator: identity, endpoints: identity.endpoints };
  }
  const own = await openTokens(tokenFile, surroundings);
  if (identity === undefined) return { authenticator: own };
  return { authenticator: byTokenKind(own, identity), endpoints: identity.endpoints };
}

type Asked = Pick<Access, 'authenticator' | 'endpoints'>;

async function openTokens(path: string, { log, now }: AccessSurroundings): Promise<Authenticator> {
  try {
    return await staticTokens({ path, checkEveryMs: CHECK_EVERY_MS, challenge: 'Token realm="diskmorph"', log, now });
  } catch (error) {
    if (!(error instanceof TokenFileError)) throw error;
    throw new AccessError('tokenFile', path, [error.message]);
  }
}

async function readCertificates(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'utf8');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new AccessError('cafile', path, [`cannot be read: ${code}`]);
  }
  throw new AccessError('cafile', path, ['holds no certificate in PEM']);
}

/** Static tokens are told by how they begin; all else, and none, is for the identity service. */
function byTokenKind(own: Authenticator, identity: Authenticator): Authenticator {
  return {
    authenticate(headers, signal) {
      const isOwn = headers.get('x-auth-token')?.startsWith(TOKEN_PREFIX) === true;
      return (isOwn ? own : identity).authenticate(headers, signal);
    },
    async close() {
      await own.close();
      await identity.close();
    },
  };
}

/** The rule `context_is_admin` says who is an administrator. */
function withAdminRule(asked: Authenticator, policy: Policy): Authenticator {
  return {
    async authenticate(headers, signal) {
      const caller = await asked.authenticate(headers, signal);
      const target = { user_id: caller.userId, project_id: caller.projectId };
      return { ...caller, isAdmin: policy.allows('context_is_admin', caller, target) };
    },
    close: asked.close,
  };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
