import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AccessConfiguration } from './access.ts';
import { readAccess } from './access.ts';
import { ALL_OPTIONS } from './all-options.ts';
import type { DatabaseConfiguration, SharedWorkConfiguration } from './database.ts';
import { readDatabase } from './database.ts';
import type { ConversionConfiguration } from './conversion-options.ts';
import { readConversions } from './conversion-options.ts';
import { parseIni } from './ini.ts';
import type { OperatorConfiguration } from './operator-options.ts';
import { readOperators } from './operator-options.ts';
import type { SafetyConfiguration } from './safety-options.ts';
import { readSafety } from './safety-options.ts';
import type { LimitConfiguration } from './limit-options.ts';
import type { ImportConfiguration } from './import-options.ts';
import { readImports } from './import-options.ts';
import { readLimits, requireKeystone } from './limit-options.ts';
import type { MetadefConfiguration } from './metadef-options.ts';
import { readMetadefs } from './metadef-options.ts';
import type { OptionDefinition, OptionValues } from './options.ts';
import { OPTIONS } from './options.ts';
import type { ConfigurationProblem } from './problem.ts';
import { ConfigurationError } from './problem.ts';
import { readStagingServer } from './staging.ts';
import type { S3StoreSettings, StoreSettings } from './store-settings.ts';
import { readStores } from './stores.ts';
import { unknownOptionWarnings } from './unknown.ts';
import type { ValueReader } from './value-source.ts';
import { valueReader } from './value-source.ts';

/** The whole configuration, checked. */
export interface Configuration extends OptionValues {
  readonly stores: readonly StoreSettings[];
  readonly defaultStore: string;
  /** Where uploaded bytes wait for their import; undefined when that is a directory. */
  readonly stagingServer: S3StoreSettings | undefined;
  /** Where images lie while they are converted. */
  readonly workDir: string;
  readonly database: DatabaseConfiguration;
  readonly sharedWork: SharedWorkConfiguration;
  /** Who is calling, and what they may do. */
  readonly access: AccessConfiguration;
  /** What is shown of images, and how much of everything there may be. */
  readonly safety: SafetyConfiguration;
  readonly limits: LimitConfiguration;
  /** Where metadata definitions come from. */
  readonly metadefs: MetadefConfiguration;
  /** Containers that images come in, and other image services. */
  readonly imports: ImportConfiguration;
  /** Conversions outside of imports. */
  readonly conversions: ConversionConfiguration;
  /** How the service is watched and stopped. */
  readonly operators: OperatorConfiguration;
  /** The values of the secret options: they are to be shown nowhere. */
  readonly secrets: readonly string[];
  /** Things that do not stop the start: deprecated names, unknown options, options without effect. */
  readonly warnings: readonly string[];
}

/** One file of the configuration: its name for messages, and its text. */
export interface ConfigurationText {
  readonly name: string;
  readonly text: string;
}

/** Where a configuration comes from. Later files win over earlier ones. */
export interface ConfigurationSources {
  readonly files: readonly ConfigurationText[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** From the command line; keys are `section.option`. */
  readonly overrides?: Readonly<Record<string, string>>;
  /** The state database when the configuration names none. */
  readonly defaultDatabase?: string;
}

/** Reads files in the given order; a directory stands for its `*.conf` in the order of their names. Throws `ConfigurationError`. */
export async function readConfigurationFiles(paths: readonly string[]): Promise<readonly ConfigurationText[]> {
  const problems: ConfigurationProblem[] = [];
  const texts: ConfigurationText[] = [];
  for (const path of paths) {
    try {
      for (const file of await expandDirectory(path)) texts.push({ name: file, text: await readFile(file, 'utf8') });
    } catch (error) {
      problems.push({ section: 'DEFAULT', message: `cannot read ${path}: ${reason(error)}` });
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return texts;
}

async function expandDirectory(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => name.endsWith('.conf')).sort();
  return names.map((name) => join(path, name));
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' ? 'there is no such file' : error instanceof Error ? error.message : String(error);
}

/** A configuration as far as it could be read: what is wrong in it has something else in its place, and is among the problems. */
export interface ExaminedConfiguration {
  readonly configuration: Configuration;
  readonly problems: readonly ConfigurationProblem[];
}

/** The configuration that the sources give, all values checked. Throws `ConfigurationError` with every problem found. */
export function loadConfiguration(sources: ConfigurationSources): Configuration {
  const { configuration, problems } = examineConfiguration(sources);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return configuration;
}

/** As `loadConfiguration`, for those who look for further problems before they say what is wrong. */
export function examineConfiguration(sources: ConfigurationSources): ExaminedConfiguration {
  const files = sources.files.map((file) => parseIni(file.text, file.name));
  const entries = files.flatMap((file) => file.entries);
  const given = { entries, environment: sources.environment, overrides: sources.overrides ?? {} };
  const reader = valueReader(given, ALL_OPTIONS);
  reader.problems.push(...files.flatMap((file) => file.problems));
  const values = readValues(reader, sources);
  const { database, sharedWork } = readDatabase(reader, values.stateDatabase);
  const { stores, defaultStore } = readStores(values, reader);
  const stagingServer = readStagingServer(reader, { ...values, scope: sharedWork.stagingScope, entries });
  const workDir = readWorkDir({ ...values, stagingServer }, reader);
  const imports = readImports(reader, values);
  const limits = readLimits(reader);
  const metadefs = readMetadefs(reader);
  const conversions = readConversions(reader);
  const operators = readOperators(reader);
  const safety = readSafety(reader);
  const access = readAccess(
    reader,
    sources.files.map((file) => file.name),
  );
  requireKeystone(limits, access, reader);
  const warnings = [...reader.warnings, ...unknownOptionWarnings(entries, stores)];
  const configuration = {
    ...values,
    stores,
    defaultStore,
    stagingServer,
    workDir,
    database,
    sharedWork,
    access,
    imports,
    limits,
    metadefs,
    conversions,
    operators,
    safety,
    secrets: reader.secrets,
    warnings,
  };
  return { configuration, problems: reader.problems };
}

function readValues(reader: ValueReader, sources: ConfigurationSources): OptionValues {
  const optional = <T>(definition: OptionDefinition<T>): T | undefined => reader.read(definition);
  // A wrong value is already a problem, which ends the load: what stands in for it here is never used.
  const required = <T>(definition: OptionDefinition<T>, standIn: T): T => reader.read(definition) ?? standIn;
  return {
    enabledBackends: optional(OPTIONS.enabledBackends),
    imageSizeCap: required(OPTIONS.imageSizeCap, 0),
    bindHost: required(OPTIONS.bindHost, ''),
    bindPort: required(OPTIONS.bindPort, 0),
    publicEndpoint: optional(OPTIONS.publicEndpoint),
    limitParamDefault: required(OPTIONS.limitParamDefault, 1),
    apiLimitMax: required(OPTIONS.apiLimitMax, 1),
    imagePropertyQuota: required(OPTIONS.imagePropertyQuota, 0),
    imageTagQuota: required(OPTIONS.imageTagQuota, 0),
    imageMemberQuota: required(OPTIONS.imageMemberQuota, 0),
    enabledImportMethods: required(OPTIONS.enabledImportMethods, []),
    uploadStallTimeout: required(OPTIONS.uploadStallTimeout, 1),
    imageImportPlugins: required(OPTIONS.imageImportPlugins, []),
    ignoreUserRoles: required(OPTIONS.ignoreUserRoles, []),
    allowedSchemes: required(OPTIONS.allowedSchemes, []),
    disallowedSchemes: required(OPTIONS.disallowedSchemes, []),
    allowedHosts: required(OPTIONS.allowedHosts, []),
    disallowedHosts: required(OPTIONS.disallowedHosts, []),
    allowedPorts: required(OPTIONS.allowedPorts, []),
    disallowedPorts: required(OPTIONS.disallowedPorts, []),
    allowedAddresses: required(OPTIONS.allowedAddresses, []),
    injectProperties: required(OPTIONS.injectProperties, new Map()),
    taskWorkDir: optional(OPTIONS.taskWorkDir),
    taskTimeToLive: required(OPTIONS.taskTimeToLive, 0),
    conversionFormat: optional(OPTIONS.conversionFormat),
    maxWorkers: required(OPTIONS.maxWorkers, 1),
    engineMode: optional(OPTIONS.engineMode),
    tasksStoreDatadir: optional(OPTIONS.tasksStoreDatadir),
    stagingStoreDatadir: optional(OPTIONS.stagingStoreDatadir),
    defaultBackend: optional(OPTIONS.defaultBackend),
    singleStoreDatadir: optional(OPTIONS.singleStoreDatadir),
    diskFormats: required(OPTIONS.diskFormats, []),
    containerFormats: required(OPTIONS.containerFormats, []),
    vmdkAllowedTypes: required(OPTIONS.vmdkAllowedTypes, []),
    requireImageFormatMatch: required(OPTIONS.requireImageFormatMatch, true),
    outputFormat: required(OPTIONS.outputFormat, 'raw'),
    stateDatabase: optional(OPTIONS.stateDatabase) ?? sources.defaultDatabase ?? '',
    rawOptions: required(OPTIONS.rawOptions, {}),
    qcow2Options: required(OPTIONS.qcow2Options, {}),
    vmdkOptions: required(OPTIONS.vmdkOptions, {}),
    maxVirtualSize: required(OPTIONS.maxVirtualSize, 0),
    freeSpaceMargin: required(OPTIONS.freeSpaceMargin, 0),
    noProgressTimeout: required(OPTIONS.noProgressTimeout, 1),
    conversionThreads: required(OPTIONS.conversionThreads, 0),
  };
}

function readWorkDir(values: OptionValues & Pick<Configuration, 'stagingServer'>, reader: ValueReader): string {
  if (values.enabledBackends === undefined) return values.taskWorkDir ?? missing(reader, OPTIONS.taskWorkDir);
  const { stagingStoreDatadir, stagingServer } = values;
  if (stagingStoreDatadir === undefined && stagingServer === undefined) missing(reader, OPTIONS.stagingStoreDatadir);
  return values.tasksStoreDatadir ?? missing(reader, OPTIONS.tasksStoreDatadir);
}

function missing(reader: ValueReader, definition: OptionDefinition<string>): string {
  const { section, name: option } = definition;
  const wrongAlready = reader.problems.some((problem) => problem.section === section && problem.option === option);
  if (!wrongAlready) {
    const when = section === 'task' ? 'when enabled_backends is not set' : 'with enabled_backends';
    reader.problems.push({ section, option, message: `is needed ${when}` });
  }
  return '';
}
