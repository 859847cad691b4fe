import { setTimeout as delay } from 'node:timers/promises';
import type { ApiParts, ApiSettings } from './api/api-parts.ts';
import { apiServer } from './api/server.ts';
import type { Access } from './auth/access.ts';
import { AccessError, openAccess } from './auth/access.ts';
import type { Authenticator } from './auth/caller.ts';
import type { Configuration } from './config/load.ts';
import { ConfigurationError } from './config/problem.ts';
import { openAddressProblem, problemsOfAccess } from './configured.ts';
import type { ImageRoads } from './image-roads.ts';
import { imageRoads } from './image-roads.ts';
import type { OpenOptions, WholeService } from './main.ts';
import { openWholeService } from './main.ts';

/** How to serve the API. */
export interface ServeOptions extends OpenOptions {
  /** Instead of `bind_host`. */
  readonly host?: string;
  /** Instead of `bind_port`. */
  readonly port?: number;
  /** Who finds out who is calling, instead of what the configuration says. */
  readonly authenticator?: Authenticator;
  /** Let everybody in who can reach an address that is not of this machine alone. */
  readonly unauthenticated?: 'allow';
  /** The program's version, for its callers. */
  readonly version: string;
}

/** The API while it is served. */
export interface ImageServer {
  /** `http://127.0.0.1:9292`. */
  readonly url: string;
  /** Lets calls under way end, pauses imports, closes everything. */
  close(): Promise<void>;
}

/**
 * Opens the service, takes up its unfinished imports, and serves the API. Throws `ConfigurationError`, `locked`, and the
 * system's error when the address cannot be used.
 */
export async function serveImages(options: ServeOptions): Promise<ImageServer> {
  const whole = await openWholeService(options);
  let opened: Access | undefined;
  try {
    const host = options.host ?? whole.configuration.bindHost;
    const access = await openConfiguredAccess(whole, options);
    opened = access;
    const exposed = access.asks === 'everybody' ? undefined : openAddressProblem(whole.configuration, host);
    if (exposed !== undefined && options.unauthenticated !== 'allow') throw new ConfigurationError([exposed]);
    const roads = imageRoads(whole);
    const app = apiServer(apiParts(whole, { options, access, roads }));
    await whole.engine.start();
    await roads.recover();
    const url = await app.listen({ host, port: options.port ?? whole.configuration.bindPort });
    return {
      url,
      async close() {
        await app.close();
        await access.close();
        await whole.service.close();
      },
    };
  } catch (error) {
    await opened?.close();
    await whole.service.close();
    throw error;
  }
}

/** Who is calling, and what they may do, as configured. Throws `ConfigurationError` for files that cannot be used. */
async function openConfiguredAccess({ configuration, parts }: WholeService, options: ServeOptions): Promise<Access> {
  try {
    const access = await openAccess(configuration.access, { log: parts.log, now: Date.now, sleep: (ms) => delay(ms) });
    const { authenticator } = options;
    return authenticator === undefined ? access : { ...access, authenticator, asks: 'everybody' };
  } catch (error) {
    if (!(error instanceof AccessError)) throw error;
    throw new ConfigurationError(problemsOfAccess(error));
  }
}

interface Surroundings {
  readonly options: ServeOptions;
  readonly access: Access;
  readonly roads: ImageRoads;
}

function apiParts(whole: WholeService, { options, access, roads }: Surroundings): ApiParts {
  const { parts, configuration } = whole;
  const { catalog, stores, log } = parts;
  return {
    catalog,
    stores,
    authenticator: access.authenticator,
    policy: access.policy,
    settings: apiSettings(configuration, options.version),
    ...roads,
    unreadiness: async () => {
      try {
        await catalog.images.list({ limit: 1 });
        return undefined;
      } catch {
        return 'The database does not answer';
      }
    },
    log,
  };
}

function apiSettings(configuration: Configuration, version: string): ApiSettings {
  return {
    diskFormats: configuration.diskFormats,
    containerFormats: configuration.containerFormats,
    stores: configuration.stores.map(({ id, description }) => ({
      id,
      ...(description === undefined ? {} : { description }),
    })),
    defaultStore: configuration.defaultStore,
    pageSize: { usual: configuration.limitParamDefault, most: configuration.apiLimitMax },
    quotas: {
      tags: configuration.imageTagQuota,
      properties: configuration.imagePropertyQuota,
      members: configuration.imageMemberQuota,
    },
    publicEndpoint: configuration.publicEndpoint,
    importMethods: configuration.enabledImportMethods,
    version,
  };
}
