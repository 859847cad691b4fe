import { setTimeout as delay } from 'node:timers/promises';
import type { Kysely, Transaction } from 'kysely';
import { openCatalog } from './catalog/database/catalog.ts';
import type { ImageRecord } from './catalog/image.ts';
import { FAILED_STORES_PROPERTY } from './catalog/image.ts';
import type { Catalog } from './catalog/repositories.ts';
import type { Configuration } from './config/load.ts';
import { ConfigurationError } from './config/problem.ts';
import { openConfiguration, targetOptionProblems, targetOptions } from './configured.ts';
import type { Tables } from './database.ts';
import { openDatabase } from './database.ts';
import { databaseJournal } from './flow/database-journal.ts';
import { embeddedEngine } from './flow/embedded-engine.ts';
import type { Engine } from './flow/engine.ts';
import type { Journal } from './flow/journal.ts';
import type { EngineLock } from './flow/lock.ts';
import { acquireEngineLock } from './flow/lock.ts';
import { warnOnce } from './import/convert.ts';
import type { Download, DownloadRules } from './staging/download.ts';
import { webDownload } from './staging/download.ts';
import { copyFlow } from './import/copy/flow.ts';
import { COPY_FLOW } from './import/copy/submit.ts';
import { describeFailure, isPassingFailure } from './import/failure.ts';
import { IMPORT_FLOW, importFlow } from './import/flow.ts';
import type { ImageTools } from './import/image-tools.ts';
import { CONVERSION_FLOW, conversionFlow } from './import/in-place/flow.ts';
import { LOCATION_FLOW, locationFlow } from './import/location-flow.ts';
import { nodeImageTools } from './import/node-image-tools.ts';
import type { ImportParts, ImportSettings } from './import/stage-context.ts';
import type { ImageService } from './import/service.ts';
import { imageService } from './import/service.ts';
import { hashThreads } from './staging/hash.ts';
import type { Observer } from './observed.ts';
import { openStaging } from './staging/staging.ts';
import type { Staging } from './staging/staging.ts';
import type { ImageStore } from './store/store.ts';
import { openStores } from './stores.ts';

type Tx = Transaction<Tables>;

/** The parts as they are made, before they are put together. */
export interface RawParts {
  readonly catalog: Catalog<Tx>;
  readonly journal: Journal<Tx>;
  readonly staging: Staging;
  readonly uploads: Staging;
  readonly download: Download;
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly tools: ImageTools;
  readonly acquireLock: () => EngineLock;
  /** Ends the threads and processes that the parts have. */
  readonly endHelpers: () => Promise<void>;
}

/** How to open the service. */
export interface OpenOptions {
  /** Files, or directories of `*.conf`, later ones win; the built-in configuration when there are none. */
  readonly configFiles?: readonly string[];
  /** From a command line; keys are `section.option`. */
  readonly overrides?: Readonly<Record<string, string>>;
  /** Instead of `DISKMORPH_STATE_DIR`, `$XDG_STATE_HOME/diskmorph` or `~/.local/state/diskmorph`. */
  readonly stateDir?: string;
  /** `process.env` when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Instead of reading it once more. */
  readonly configuration?: Configuration;
  /** Gets warnings for operators, one line each, and errors that nobody foresaw; nobody does when absent. */
  readonly log?: (message: string, error?: unknown) => void;
  /** Sees what is done. */
  readonly observer?: Observer;
  /** Lets tests put faults between the parts. */
  readonly intercept?: (parts: RawParts) => RawParts;
}

/** A step that took its process down so often is not begun again. */
const MAX_ATTEMPTS = 10;
const MAX_RETRIES = 4;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const PROGRESS_INTERVAL_MS = 1000;
const MS_PER_HOUR = 3_600_000;

/**
 * Builds everything once. Throws `ConfigurationError` with every problem found. Nothing runs, and other processes may
 * open the same state, until an import or a resume begins.
 */
export async function openImageService(options: OpenOptions = {}): Promise<ImageService> {
  return (await openWholeService(options)).service;
}

/** The service with what it is made of, for who serves it to others. */
export interface WholeService {
  readonly service: ImageService;
  readonly parts: ImportParts<Tx>;
  readonly engine: Engine<Tx>;
  readonly journal: Journal<Tx>;
  readonly configuration: Configuration;
}

/** As `openImageService`. */
export async function openWholeService(options: OpenOptions): Promise<WholeService> {
  const log = options.log ?? (() => {});
  const configuration = options.configuration ?? (await openConfiguration(options));
  for (const warning of configuration.warnings) log(warning);
  const tools = nodeImageTools(configuration.conversionThreads === 0 ? undefined : configuration.conversionThreads);
  const wrong = targetOptionProblems(configuration, tools);
  if (wrong.length > 0) throw new ConfigurationError(wrong);
  const db = await openDatabase(configuration.database, log);
  try {
    const raw = await makeParts(configuration, db, tools);
    const { observer } = options;
    const observed = observer === undefined ? raw : { ...raw, stores: observer.stores(raw.stores) };
    const parts = options.intercept?.(observed) ?? observed;
    const closeDatabase = async (): Promise<void> => {
      await parts.endHelpers();
      await db.destroy();
    };
    return put(parts, configuration, { log, observer, closeDatabase });
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function makeParts(configuration: Configuration, db: Kysely<Tables>, tools: ImageTools): Promise<RawParts> {
  const catalog = await openCatalog(db, Date.now);
  const { instanceId } = catalog;
  const { freeSpaceMargin: marginBytes } = configuration;
  const stores = await openStores(configuration.stores, { instanceId, marginBytes });
  const hashing = hashThreads();
  return {
    catalog,
    journal: databaseJournal(db, Date.now),
    staging: openStaging({ workDir: configuration.workDir, instanceId, marginBytes, hashing }),
    uploads: openStaging({
      workDir: configuration.stagingStoreDatadir ?? configuration.workDir,
      instanceId,
      marginBytes,
      hashing,
      purpose: 'uploads',
    }),
    download: webDownload(downloadRules(configuration)),
    stores,
    tools,
    acquireLock: () => acquireEngineLock(lockPath(configuration.database)),
    endHelpers: () => hashing.close(),
  };
}

function lockPath(database: Configuration['database']): string {
  if (database.kind === 'sqlite') return `${database.path}.lock`;
  throw new ConfigurationError([
    { section: 'database', option: 'connection', message: 'PostgreSQL is not served by this version yet' },
  ]);
}

interface Surroundings {
  readonly log: (message: string, error?: unknown) => void;
  readonly observer: Observer | undefined;
  readonly closeDatabase: () => Promise<void>;
}

function put(
  raw: RawParts,
  configuration: Configuration,
  { log, observer, closeDatabase }: Surroundings,
): WholeService {
  const { journal } = raw;
  const parts: ImportParts<Tx> = { ...raw, settings: importSettings(configuration), now: Date.now, log };
  const flows = new Map([
    [IMPORT_FLOW, importFlow(parts, warnOnce(log))],
    [COPY_FLOW, copyFlow(parts)],
    [CONVERSION_FLOW, conversionFlow(parts)],
    [LOCATION_FLOW, locationFlow(parts)],
  ]);
  const engine: Engine<Tx> = embeddedEngine({
    journal,
    flows: observer?.flows(flows, parts) ?? flows,
    acquireLock: raw.acquireLock,
    beforeResume: (unfinished) => clearResidue(parts, journal, unfinished),
    describeFailure: (error) => {
      const failure = describeFailure(error);
      if (failure.code === 'internal') log('a task met an error that nobody foresaw', error);
      return failure;
    },
    isPassing: isPassingFailure,
    maxJobs: configuration.maxWorkers,
    limits: {
      maxAttempts: MAX_ATTEMPTS,
      maxRetries: MAX_RETRIES,
      retryDelayMs: (retry) => Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (retry - 1)),
      noProgressMs: configuration.noProgressTimeout * 1000,
      progressIntervalMs: PROGRESS_INTERVAL_MS,
    },
    now: Date.now,
    sleep: async (ms, signal) => {
      // An interruption ends the wait; what follows looks at the signal itself.
      await delay(ms, undefined, { signal }).catch(() => {});
    },
    onFault: (jobId, error) => log(`task ${jobId} cannot go on now`, error),
  });
  const service = imageService({ parts, engine, journal, closeDatabase });
  return { service, parts, engine, journal, configuration };
}

function downloadRules(configuration: Configuration): DownloadRules {
  return {
    schemes: { allowed: configuration.allowedSchemes, refused: configuration.disallowedSchemes },
    hosts: { allowed: configuration.allowedHosts, refused: configuration.disallowedHosts },
    ports: { allowed: configuration.allowedPorts, refused: configuration.disallowedPorts },
    openedAddresses: configuration.allowedAddresses,
    stallMs: configuration.uploadStallTimeout * 1000,
  };
}

function importSettings(configuration: Configuration): ImportSettings {
  const storeFormats = configuration.stores.flatMap(({ id, outputFormat }) =>
    outputFormat === undefined ? [] : [[id, outputFormat] as const],
  );
  return {
    diskFormats: configuration.diskFormats,
    containerFormats: configuration.containerFormats,
    vmdkAllowedTypes: configuration.vmdkAllowedTypes,
    requireFormatMatch: configuration.requireImageFormatMatch,
    maxImageSize: configuration.imageSizeCap,
    maxVirtualSize: configuration.maxVirtualSize,
    conversionFormat: configuration.conversionFormat,
    outputFormat: configuration.imageImportPlugins.includes('image_conversion')
      ? configuration.outputFormat
      : undefined,
    targetOptions: targetOptions(configuration),
    storeFormats: Object.fromEntries(storeFormats),
    defaultStore: configuration.defaultStore,
    taskTimeToLiveMs: configuration.taskTimeToLive * MS_PER_HOUR,
  };
}

/**
 * Removes what nobody will come back for: scratch of ended or unknown jobs, cut-off files in stores, blobs of imports
 * that failed, expired tasks. What cannot be removed is logged and left to the next start.
 */
async function clearResidue(
  parts: ImportParts<Tx>,
  journal: Journal<Tx>,
  unfinished: readonly string[],
): Promise<void> {
  const { staging, stores, catalog, log } = parts;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => log(`residue could not be removed: ${describeFailure(error).message}`));
  };
  await attempt(async () => {
    const residue = await staging.keepOnly(unfinished);
    for (const name of residue) log(`removed the scratch directory of the ended task ${name}`);
  });
  const queued = await catalog.images.list({ status: 'queued' });
  const failed = queued.filter((image) => image.properties[FAILED_STORES_PROPERTY] !== undefined);
  const images = await Promise.all(unfinished.map(async (id) => (await catalog.tasks.get(id)).imageId ?? ''));
  for (const store of stores.values()) {
    if (store.readOnly) continue;
    await attempt(() => store.clearLeftovers({ images }));
    for (const image of failed) await attempt(() => removeBlobs(store, image));
  }
  await journal.forget(await catalog.tasks.removeExpired(parts.now()));
}

async function removeBlobs(store: ImageStore, image: ImageRecord): Promise<void> {
  const kept = new Set(image.locations.map((place) => `${place.store} ${place.location}`));
  for (const location of await store.blobsOf(image.id)) {
    if (!kept.has(`${store.id} ${location}`)) await store.delete(location);
  }
}
