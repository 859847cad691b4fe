import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { openCatalog } from './catalog/database/catalog.ts';
import { isPostgresOutage } from './catalog/database/postgres.ts';
import { limitedCatalog } from './catalog/limited-catalog.ts';
import type { LimitSource } from './catalog/quota.ts';
import type { Catalog } from './catalog/repositories.ts';
import type { Configuration } from './config/load.ts';
import { ConfigurationError } from './config/problem.ts';
import { configuredTools, openConfiguration, targetOptionProblems, targetOptions } from './configured.ts';
import type { Tables } from './database.ts';
import { openDatabase } from './database.ts';
import { databaseJournal } from './flow/database-journal.ts';
import type { Engine } from './flow/engine.ts';
import type { Journal } from './flow/journal.ts';
import type { FlowFactory } from './flow/step.ts';
import type { EngineLock } from './flow/lock.ts';
import { acquireEngineLock } from './flow/lock.ts';
import { warnOnce } from './import/convert.ts';
import type { Download, DownloadRules } from './staging/download.ts';
import { webDownload } from './staging/download.ts';
import { copyFlow } from './import/copy/flow.ts';
import { COPY_FLOW } from './import/copy/submit.ts';
import { IMPORT_FLOW, importFlow } from './import/flow.ts';
import type { ImageTools } from './import/image-tools.ts';
import { CONVERSION_FLOW, conversionFlow } from './import/in-place/flow.ts';
import { LOCATION_FLOW, locationFlow } from './import/location-flow.ts';
import { PLACES_FLOW, placesFlow } from './import/verified-places.ts';
import { heldFlow } from './import/held-catalog.ts';
import type { IsolatedTools } from './import/readers/isolated-tools.ts';
import type { ImportParts, ImportSettings } from './import/stage-context.ts';
import type { StagedData } from './import/staged/staged-data.ts';
import type { ImageService } from './import/service.ts';
import { imageService } from './import/service.ts';
import { hashThreads } from './staging/hash.ts';
import { openStagedData } from './incoming-data.ts';
import type { Observer } from './observed.ts';
import { openRemoteImages } from './remote-services.ts';
import type { RemoteImages } from './remotes/remote-images.ts';
import type { ProcessRole } from './run-engine.ts';
import { runEngine } from './run-engine.ts';
import { spaceClaims } from './staging/space-claims.ts';
import { spaceBook } from './staging/space.ts';
import { openStaging } from './staging/staging.ts';
import type { Staging } from './staging/staging.ts';
import type { ImageStore } from './store/store.ts';
import { openProjectLimits } from './project-limits.ts';
import { openStores } from './stores.ts';

type Tx = Transaction<Tables>;

/** The parts as they are made, before they are put together. */
export interface RawParts {
  readonly catalog: Catalog<Tx>;
  readonly projectLimits: LimitSource;
  readonly journal: Journal<Tx>;
  readonly staging: Staging;
  readonly uploads: StagedData;
  readonly download: Download;
  readonly remotes: RemoteImages;
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
  /** What this process does with tasks; it runs them when absent. */
  readonly role?: ProcessRole;
  /** Lets tests put faults between the parts. */
  readonly intercept?: (parts: RawParts) => RawParts;
}

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
  const tools = configuredTools(configuration, log);
  const wrong = targetOptionProblems(configuration, tools);
  if (wrong.length > 0) throw new ConfigurationError(wrong);
  const db = await openDatabase(configuration.database, log);
  try {
    const { observer } = options;
    const raw = await makeParts(configuration, db, { tools, log, observer });
    const parts = options.intercept?.(raw) ?? raw;
    const closeDatabase = async (): Promise<void> => {
      await parts.endHelpers();
      await db.destroy();
    };
    return put(parts, configuration, { role: options.role ?? 'runs tasks', log, observer, closeDatabase });
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function makeParts(
  configuration: Configuration,
  db: Kysely<Tables>,
  { tools, log, observer }: Pick<Surroundings, 'log' | 'observer'> & { readonly tools: IsolatedTools },
): Promise<RawParts> {
  const limits = await openProjectLimits(configuration, log);
  const catalog = limitedCatalog(await openCatalog(db, Date.now), limits);
  const { instanceId } = catalog;
  const { freeSpaceMargin: marginBytes } = configuration;
  const claims = configuration.database.kind === 'sqlite' ? undefined : spaceClaims(randomUUID());
  const space = spaceBook({ marginBytes, ...(claims === undefined ? {} : { claims }) });
  const observed: Observer['store'] = observer?.store ?? ((store) => store);
  const stores = await openStores(configuration.stores, { instanceId, marginBytes, space });
  const hashing = hashThreads();
  const kept = { instanceId, marginBytes, hashing, space };
  return {
    catalog,
    projectLimits: limits,
    journal: databaseJournal(db, Date.now),
    staging: openStaging({ ...kept, workDir: configuration.workDir, waitMs: configuration.safety.spaceWaitMs }),
    uploads: await openStagedData(configuration, { ...kept, log, observed }),
    download: webDownload(downloadRules(configuration)),
    remotes: await openRemoteImages(configuration),
    stores: new Map(Array.from(stores, ([id, store]) => [id, observed(store)])),
    tools,
    acquireLock: () => acquireEngineLock(lockPath(configuration.database)),
    async endHelpers() {
      limits.close();
      await Promise.all([hashing.close(), tools.close(), claims?.close()]);
    },
  };
}

function lockPath(database: Configuration['database']): string {
  if (database.kind === 'sqlite') return `${database.path}.lock`;
  throw new Error('assertion failed: only the file of an embedded database has a lock');
}

interface Surroundings {
  readonly role: ProcessRole;
  readonly log: (message: string, error?: unknown) => void;
  readonly observer: Observer | undefined;
  readonly closeDatabase: () => Promise<void>;
}

function put(
  raw: RawParts,
  configuration: Configuration,
  { role, log, observer, closeDatabase }: Surroundings,
): WholeService {
  const { journal } = raw;
  const parts: ImportParts<Tx> = {
    ...raw,
    settings: importSettings(configuration),
    isOutage: isPostgresOutage,
    now: Date.now,
    log,
  };
  const warnUnset = warnOnce(log);
  const earlier = configuration.database.kind === 'sqlite' ? 'gone' : 'may wake up';
  const held = (make: Parameters<typeof heldFlow<Tx>>[2]): FlowFactory => heldFlow(parts, earlier, make);
  const flows = new Map([
    [IMPORT_FLOW, held((of) => importFlow(of, warnUnset))],
    [COPY_FLOW, held(copyFlow)],
    [CONVERSION_FLOW, held(conversionFlow)],
    [LOCATION_FLOW, held(locationFlow)],
    [PLACES_FLOW, held(placesFlow)],
  ]);
  const engine = runEngine({
    parts,
    journal,
    flows: observer?.flows(flows, parts) ?? flows,
    acquireLock: raw.acquireLock,
    configuration,
    role,
    log,
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
