import { dirname, join, resolve } from 'node:path';
import type { AccessOptionValues } from './access-options.ts';
import { ACCESS_OPTIONS } from './access-options.ts';
import type { OptionDefinition } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** A name with its domain, or an id. */
export interface NamedInDomain {
  readonly id?: string;
  readonly name?: string;
  readonly domainId?: string;
  readonly domainName?: string;
}

/** How the service logs in to Keystone. */
export type ServiceLogIn =
  | {
      readonly method: 'password';
      readonly user: NamedInDomain;
      readonly password: string;
      readonly scope: NamedInDomain | 'system';
    }
  | {
      readonly method: 'application_credential';
      readonly credential: { readonly id?: string; readonly name?: string };
      readonly user?: NamedInDomain;
      readonly secret: string;
    };

/** How tokens of Keystone are checked; times in milliseconds. */
export interface KeystoneConfiguration {
  readonly authUrl: string;
  readonly credentials: ServiceLogIn;
  readonly interface: string;
  readonly region: string | undefined;
  readonly challengeUri: string;
  readonly cafile: string | undefined;
  readonly verifyCertificates: boolean;
  readonly requestTimeoutMs: number;
  readonly retries: number;
  readonly cacheMs: number;
  readonly serviceTokenRoles: readonly string[];
  readonly serviceTokenRolesRequired: boolean;
}

/** Who is asked who is calling, and where the rules are; without `keystone` and `tokenFile` nobody is. */
export interface AccessConfiguration {
  readonly keystone: KeystoneConfiguration | undefined;
  readonly tokenFile: string | undefined;
  /** `required`: an operator named it. */
  readonly policyFile: { readonly path: string; readonly required: boolean } | undefined;
}

const FLAVOR_PARTS: ReadonlySet<string> = new Set(['keystone', 'caching', 'cachemanagement']);

/** The options about access, checked together; `files` are the names of the configuration files in their order. */
export function readAccess(reader: ValueReader, files: readonly string[]): AccessConfiguration {
  const values = readAccessValues(reader);
  const parts = (values.flavor ?? '').split('+').filter((part) => part !== '');
  const unknown = parts.find((part) => !FLAVOR_PARTS.has(part));
  if (unknown !== undefined) {
    const { section, name: option } = ACCESS_OPTIONS.flavor;
    const problem = { section, option, value: values.flavor ?? '', message: `"${unknown}" is not known` };
    reader.problems.push({ ...problem, choices: ['keystone', 'keystone+caching', 'keystone+cachemanagement'] });
  }
  const asked = parts.includes('keystone');
  if (!asked && values.authUrl !== undefined) {
    reader.warnings.push('[keystone_authtoken] is not used: [paste_deploy] flavor is not "keystone"');
  }
  return {
    keystone: asked ? readKeystone(values, reader) : undefined,
    tokenFile: values.tokenFile,
    policyFile: policyFile(values.policyFile, files),
  };
}

function policyFile(given: string | undefined, files: readonly string[]): AccessConfiguration['policyFile'] {
  const first = files.find((file) => !file.startsWith('('));
  const directory = first === undefined ? undefined : dirname(resolve(first));
  if (given !== undefined && given !== '') return { path: resolve(directory ?? '.', given), required: true };
  return directory === undefined ? undefined : { path: join(directory, 'policy.yaml'), required: false };
}

function readKeystone(values: AccessOptionValues, reader: ValueReader): KeystoneConfiguration {
  const authUrl = identityUrl(needed(reader, ACCESS_OPTIONS.authUrl, values.authUrl), reader);
  if (values.delayAuthDecision) {
    const { section, name: option } = ACCESS_OPTIONS.delayAuthDecision;
    reader.problems.push({ section, option, value: 'true', message: 'calls without a good token are always refused' });
  }
  return {
    authUrl,
    credentials:
      values.authType === 'v3applicationcredential' ? byCredential(values, reader) : byPassword(values, reader),
    interface: values.interface,
    region: values.regionName,
    challengeUri: values.wwwAuthenticateUri ?? authUrl,
    cafile: values.cafile,
    verifyCertificates: !values.insecure,
    requestTimeoutMs: values.httpConnectTimeout * 1000,
    retries: values.httpRequestMaxRetries,
    cacheMs: Math.max(0, values.tokenCacheTime) * 1000,
    serviceTokenRoles: values.serviceTokenRoles.map((role) => role.toLowerCase()),
    serviceTokenRolesRequired: values.serviceTokenRolesRequired,
  };
}

/** The address with the version that is spoken. */
function identityUrl(given: string, reader: ValueReader): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (given !== '' && (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '')) {
    const { section, name: option } = ACCESS_OPTIONS.authUrl;
    reader.problems.push({
      section,
      option,
      value: given,
      message: 'is not an address such as http://keystone:5000/v3',
    });
  }
  const base = given.replace(/\/+$/, '').replace(/\/v2\.0$/, '');
  return base.endsWith('/v3') ? base : `${base}/v3`;
}

function byPassword(values: AccessOptionValues, reader: ValueReader): ServiceLogIn {
  const password = needed(reader, ACCESS_OPTIONS.password, values.password);
  const user = readUser(values, reader);
  if (values.systemScope !== undefined) return { method: 'password', user, password, scope: 'system' };
  if (values.projectId !== undefined) return { method: 'password', user, password, scope: { id: values.projectId } };
  const name = needed(reader, ACCESS_OPTIONS.projectName, values.projectName);
  return {
    method: 'password',
    user,
    password,
    scope: {
      name,
      ...domainOf(reader, ACCESS_OPTIONS.projectDomainId, values.projectDomainId, values.projectDomainName),
    },
  };
}

function byCredential(values: AccessOptionValues, reader: ValueReader): ServiceLogIn {
  const secret = needed(reader, ACCESS_OPTIONS.applicationCredentialSecret, values.applicationCredentialSecret);
  const { applicationCredentialId: id, applicationCredentialName: name } = values;
  const method = 'application_credential';
  if (id !== undefined || name === undefined) {
    return { method, credential: { id: needed(reader, ACCESS_OPTIONS.applicationCredentialId, id) }, secret };
  }
  return { method, credential: { name }, user: readUser(values, reader), secret };
}

function readUser(values: AccessOptionValues, reader: ValueReader): NamedInDomain {
  if (values.userId !== undefined) return { id: values.userId };
  const name = needed(reader, ACCESS_OPTIONS.username, values.username);
  return { name, ...domainOf(reader, ACCESS_OPTIONS.userDomainId, values.userDomainId, values.userDomainName) };
}

function domainOf(
  reader: ValueReader,
  definition: OptionDefinition<string>,
  id: string | undefined,
  name: string | undefined,
): NamedInDomain {
  if (id === undefined && name !== undefined) return { domainName: name };
  return { domainId: needed(reader, definition, id) };
}

/** The value; a problem where there is none, unless a wrong one is a problem already. */
function needed(reader: ValueReader, definition: OptionDefinition<string>, value: string | undefined): string {
  if (value !== undefined && value !== '') return value;
  const { section, name: option } = definition;
  if (!reader.problems.some((problem) => problem.section === section && problem.option === option)) {
    reader.problems.push({ section, option, message: 'is needed with [paste_deploy] flavor = keystone' });
  }
  return '';
}

function readAccessValues(reader: ValueReader): AccessOptionValues {
  const optional = <T>(definition: OptionDefinition<T>): T | undefined => reader.read(definition);
  const required = <T>(definition: OptionDefinition<T>, standIn: T): T => reader.read(definition) ?? standIn;
  return {
    flavor: optional(ACCESS_OPTIONS.flavor),
    tokenFile: optional(ACCESS_OPTIONS.tokenFile),
    policyFile: optional(ACCESS_OPTIONS.policyFile),
    policyDirs: optional(ACCESS_OPTIONS.policyDirs),
    enforceScope: optional(ACCESS_OPTIONS.enforceScope),
    enforceNewDefaults: optional(ACCESS_OPTIONS.enforceNewDefaults),
    authUrl: optional(ACCESS_OPTIONS.authUrl),
    wwwAuthenticateUri: optional(ACCESS_OPTIONS.wwwAuthenticateUri),
    authType: required(ACCESS_OPTIONS.authType, 'password'),
    username: optional(ACCESS_OPTIONS.username),
    userId: optional(ACCESS_OPTIONS.userId),
    password: optional(ACCESS_OPTIONS.password),
    userDomainId: optional(ACCESS_OPTIONS.userDomainId),
    userDomainName: optional(ACCESS_OPTIONS.userDomainName),
    projectId: optional(ACCESS_OPTIONS.projectId),
    projectName: optional(ACCESS_OPTIONS.projectName),
    projectDomainId: optional(ACCESS_OPTIONS.projectDomainId),
    projectDomainName: optional(ACCESS_OPTIONS.projectDomainName),
    systemScope: optional(ACCESS_OPTIONS.systemScope),
    applicationCredentialId: optional(ACCESS_OPTIONS.applicationCredentialId),
    applicationCredentialName: optional(ACCESS_OPTIONS.applicationCredentialName),
    applicationCredentialSecret: optional(ACCESS_OPTIONS.applicationCredentialSecret),
    interface: required(ACCESS_OPTIONS.interface, 'internal'),
    regionName: optional(ACCESS_OPTIONS.regionName),
    cafile: optional(ACCESS_OPTIONS.cafile),
    insecure: required(ACCESS_OPTIONS.insecure, false),
    httpConnectTimeout: required(ACCESS_OPTIONS.httpConnectTimeout, 1),
    httpRequestMaxRetries: required(ACCESS_OPTIONS.httpRequestMaxRetries, 0),
    tokenCacheTime: required(ACCESS_OPTIONS.tokenCacheTime, 0),
    serviceTokenRoles: required(ACCESS_OPTIONS.serviceTokenRoles, []),
    serviceTokenRolesRequired: required(ACCESS_OPTIONS.serviceTokenRolesRequired, false),
    delayAuthDecision: required(ACCESS_OPTIONS.delayAuthDecision, false),
    memcachedServers: optional(ACCESS_OPTIONS.memcachedServers),
  };
}
