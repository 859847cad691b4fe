import { setTimeout as delay } from 'node:timers/promises';
import type { ApiParts, ApiSettings } from './api/api-parts.ts';
import { watchersServer } from './api/figures.ts';
import type { LookAtHealth } from './api/health.ts';
import { apiServer } from './api/server.ts';
import type { Access } from './auth/access.ts';
import { AccessError, openAccess } from './auth/access.ts';
import type { Authenticator } from './auth/caller.ts';
import type { Configuration } from './config/load.ts';
import { ConfigurationError } from './config/problem.ts';
import { openAddressProblem, openConfiguration, problemsOfAccess } from './configured.ts';
import { endCalls } from './end-calls.ts';
import { gaugesOf, healthOf } from './health.ts';
import { openConfiguredCache } from './cached-images.ts';
import type { ImageRoads } from './image-roads.ts';
import { imageRoads } from './image-roads.ts';
import type { OpenOptions, WholeService } from './main.ts';
import { openWholeService } from './main.ts';
import { observer } from './observed.ts';
import type { OpenedWatch, WatchOptions } from './watch.ts';
import { openWatch } from './watch.ts';

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
  /** Gets the entries of the log; `process`: the file of the configuration, else standard error. Nobody reads them when absent. */
  readonly logging?: WatchOptions['logging'];
}

/** The API while it is served. */
export interface ImageServer {
  /** `http://127.0.0.1:9292`. */
  readonly url: string;
  /** Takes no more tasks, and returns when those that run here have ended or the signal fires. */
  finishTasks(signal?: AbortSignal): Promise<void>;
  /** Lets calls under way end, as long as the configuration allows, pauses imports, closes everything. */
  close(): Promise<void>;
}

/**
 * Opens the service, takes up its unfinished imports, and serves the API. Throws `ConfigurationError`, `locked`, and the
 * system's error when the address cannot be used.
 */
export async function serveImages(options: ServeOptions): Promise<ImageServer> {
  const configuration = await openConfiguration(options);
  const watch = await openWatch(configuration, watchOptions(options));
  try {
    return await serveWatched(options, configuration, watch);
  } catch (error) {
    await watch.close();
    throw error;
  }
}

async function serveWatched(
  options: ServeOptions,
  configuration: Configuration,
  watch: OpenedWatch,
): Promise<ImageServer> {
  const log = (message: string, error?: unknown): void => {
    watch.line(message, error);
    options.log?.(message, error);
  };
  const whole = await openWholeService({
    ...options,
    role: options.role ?? (configuration.sharedWork.runTasks ? 'runs tasks' : 'only asks'),
    configuration,
    log,
    observer: observer(watch),
  });
  const opened: { close(): Promise<unknown> }[] = [];
  try {
    const host = options.host ?? configuration.bindHost;
    const access = await openConfiguredAccess(whole, options);
    opened.push(access);
    const exposed = access.asks === 'everybody' ? undefined : openAddressProblem(configuration, host);
    if (exposed !== undefined && options.unauthenticated !== 'allow') throw new ConfigurationError([exposed]);
    const roads = imageRoads(whole, { access, cache: await openConfiguredCache(whole) });
    opened.push(roads);
    const health = healthOf({ ...whole.parts, configuration, now: () => performance.now() });
    watch.figures.look(() => gaugesOf({ ...whole.parts, configuration, now: () => performance.now() }, whole.journal));
    const app = apiServer(apiParts(whole, { options, access, roads, watch, health }));
    await whole.engine.start();
    await roads.recover();
    opened.push({ close: roads.startRemoval() }, { close: roads.startRecovery() }, { close: roads.startCaching() });
    const { metrics, stopWithinMs } = configuration.operators;
    if (metrics !== undefined) opened.push(await listenForWatchers(metrics, { watch, health }));
    const url = await app.listen({ host, port: options.port ?? configuration.bindPort });
    watch.log.info(`serving on ${url} as diskmorph ${options.version}`, { url });
    return {
      url,
      finishTasks: (signal) => whole.engine.finish(signal),
      async close() {
        watch.log.info('stopping: calls under way may end, tasks are paused');
        await endCalls(app, stopWithinMs, log);
        for (const each of opened) await each.close();
        await whole.service.close();
        watch.log.info('stopped');
        await watch.close();
      },
    };
  } catch (error) {
    for (const each of opened) await each.close();
    await whole.service.close();
    throw error;
  }
}

/** How to open what watches a process. */
export function watchOptions({
  version,
  environment,
  logging,
}: Pick<ServeOptions, 'version' | 'environment' | 'logging'>): WatchOptions {
  return { version, environment: environment ?? process.env, logging: logging ?? (() => {}) };
}

/** Serves the figures apart from the API. */
export async function listenForWatchers(
  { host, port }: { readonly host: string; readonly port: number },
  { watch, health }: Pick<Surroundings, 'watch' | 'health'>,
): Promise<{ close(): Promise<unknown> }> {
  const app = watchersServer(watch.figures, health);
  const url = await app.listen({ host, port });
  watch.log.info(`figures on ${url}/metrics`, { url });
  return app;
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
  readonly watch: OpenedWatch;
  readonly health: LookAtHealth;
}

function apiParts(whole: WholeService, { options, access, roads, watch, health }: Surroundings): ApiParts {
  const { parts, configuration } = whole;
  const { catalog, projectLimits, stores } = parts;
  return {
    catalog,
    projectLimits,
    stores,
    authenticator: access.authenticator,
    policy: access.policy,
    isOutage: (error) => parts.isOutage?.(error) === true,
    settings: apiSettings(configuration, options.version),
    ...roads,
    health,
    watch,
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
      locations: configuration.limits.imageLocationQuota,
    },
    servesCache: configuration.limits.cache !== undefined,
    tellsCachedNodes: configuration.limits.cache?.node !== undefined,
    showsPlaces: {
      directUrl: configuration.limits.showImageDirectUrl,
      locations: configuration.limits.showMultipleLocations,
    },
    publicEndpoint: configuration.publicEndpoint,
    importMethods: configuration.enabledImportMethods,
    transfers: configuration.safety,
    version,
  };
}
