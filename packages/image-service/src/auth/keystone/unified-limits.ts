import type { IdentityHttp } from './identity-http.ts';
import { IdentityFault, identityHttp } from './identity-http.ts';
import type { OwnTokenKeeper } from './own-token.ts';
import { ownToken } from './own-token.ts';
import type { KeystoneSettings } from './settings.ts';

/** How much of each resource a project may have, by the resource's name. */
export type UnifiedLimits = ReadonlyMap<string, number>;

/** Keystone's unified limits for one service. */
export interface UnifiedLimitReader {
  /**
   * The limits of a project, the registered ones where it has none of its own; only those for null. Believed for a while;
   * while Keystone is away the last ones hold. Throws `IdentityFault` when there are none yet.
   */
  of(project: string | null): Promise<UnifiedLimits>;
  close(): void;
}

/** Whose limits are read, and how. */
export interface UnifiedLimitSettings extends KeystoneSettings {
  /** Of the service whose limits they are, in Keystone's catalogue: it says which service and region. */
  readonly endpointId: string;
  readonly believedMs: number;
}

/** What the reader needs of its surroundings. */
export interface LimitSurroundings {
  readonly log: (message: string) => void;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

interface Read {
  readonly limits: UnifiedLimits;
  readonly at: number;
}

/** Projects that are remembered. */
const MAX_PROJECTS = 10_000;

/** Reads limits as the service's own user. Identity API v3, "Unified limits". */
export function unifiedLimits(
  settings: UnifiedLimitSettings,
  { log, now, sleep }: LimitSurroundings,
): UnifiedLimitReader {
  const http = identityHttp(settings, sleep);
  const ask = asker(http, ownToken(settings, http, now));
  const known = new Map<string, Read>();
  const reading = new Map<string, Promise<UnifiedLimits>>();
  let service: Promise<string> | undefined;
  const serviceQuery = (): Promise<string> => {
    service ??= readService(ask, settings.endpointId).catch((error: unknown) => {
      service = undefined;
      throw error;
    });
    return service;
  };
  const read = async (project: string): Promise<UnifiedLimits> => {
    try {
      const limits = await readLimits(ask, await serviceQuery(), project);
      if (known.size >= MAX_PROJECTS) known.clear();
      known.set(project, { limits, at: now() });
      return limits;
    } catch (error) {
      const last = known.get(project);
      if (last === undefined || !(error instanceof IdentityFault)) throw error;
      log(`limits cannot be read, the last ones hold: ${error.message}`);
      return last.limits;
    }
  };
  return {
    async of(project) {
      const key = project ?? '';
      const last = known.get(key);
      if (last !== undefined && now() - last.at < settings.believedMs) return last.limits;
      const pending = reading.get(key) ?? read(key).finally(() => reading.delete(key));
      reading.set(key, pending);
      return pending;
    },
    close: () => http.close(),
  };
}

type Ask = (path: string) => Promise<Readonly<Record<string, unknown>>>;

function asker(http: IdentityHttp, own: OwnTokenKeeper): Ask {
  return async (path) => {
    for (let attempt = 0; ; attempt++) {
      const { token, identityUrl } = await own.get();
      const answer = await http.call({
        method: 'GET',
        url: `${identityUrl}${path}`,
        headers: { 'x-auth-token': token },
      });
      if (answer.status === 401 && attempt === 0) {
        own.forget(token);
        continue;
      }
      if (answer.status !== 200) {
        throw new IdentityFault(
          `Keystone answers ${answer.status} to ${path.split('?')[0]}: may the service's user read limits?`,
        );
      }
      const document: unknown = parsed(answer.body);
      if (isObject(document)) return document;
      throw new IdentityFault('Keystone answers with something that is no JSON object');
    }
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The query that means the endpoint's service in its region. */
async function readService(ask: Ask, endpointId: string): Promise<string> {
  const { endpoint } = await ask(`/endpoints/${encodeURIComponent(endpointId)}`);
  const { service_id: service, region_id: region } = isObject(endpoint) ? endpoint : {};
  if (typeof service !== 'string') throw new IdentityFault(`Keystone knows no endpoint ${endpointId}`);
  return new URLSearchParams({
    service_id: service,
    ...(typeof region === 'string' ? { region_id: region } : {}),
  }).toString();
}

async function readLimits(ask: Ask, service: string, project: string): Promise<UnifiedLimits> {
  const { registered_limits: registered } = await ask(`/registered_limits?${service}`);
  const limits = new Map(pairs(registered, 'default_limit'));
  if (project === '') return limits;
  const own = await ask(`/limits?${service}&project_id=${encodeURIComponent(project)}`);
  for (const [name, value] of pairs(own['limits'], 'resource_limit', project)) limits.set(name, value);
  return limits;
}

function pairs(rows: unknown, key: string, project?: string): readonly (readonly [string, number])[] {
  if (!Array.isArray(rows)) throw new IdentityFault('Keystone answers without limits');
  return rows.filter(isObject).flatMap((row) => {
    const { resource_name: name, [key]: value, project_id: of } = row;
    const belongs = project === undefined || of === project;
    return belongs && typeof name === 'string' && typeof value === 'number' ? [[name, value] as const] : [];
  });
}
