import { access, constants, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isLoopback } from './api/address.ts';
import type { AccessSettings } from './auth/access.ts';
import { accessFaults, AccessError } from './auth/access.ts';
import { ACCESS_OPTIONS } from './config/access-options.ts';
import { checkDirectories, directoryProblems } from './config/directories.ts';
import { embeddedConfiguration, embeddedPlaces, stateDirectory } from './config/embedded.ts';
import type { Configuration, ConfigurationSources } from './config/load.ts';
import { examineConfiguration, loadConfiguration, readConfigurationFiles } from './config/load.ts';
import { OPERATOR_OPTIONS } from './config/operator-options.ts';
import type { ConfigurationProblem } from './config/problem.ts';
import { ConfigurationError } from './config/problem.ts';
import type { ImageTools } from './import/image-tools.ts';
import { nodeImageTools } from './import/node-image-tools.ts';
import type { IsolatedTools } from './import/readers/isolated-tools.ts';
import { isolatedImageTools } from './import/readers/isolated-tools.ts';
import type { ImportSettings } from './import/stage-context.ts';
import type { OpenOptions } from './main.ts';

interface GivenSources extends ConfigurationSources {
  readonly stateDir: string;
  /** No operator wrote a file: what is missing is made. */
  readonly builtIn: boolean;
}

/** The checked configuration that the options mean; makes the directories of the built-in one. Throws `ConfigurationError`. */
export async function openConfiguration(options: OpenOptions): Promise<Configuration> {
  const sources = await givenSources(options);
  const configuration = loadConfiguration(sources);
  const { stateDir, builtIn } = sources;
  const places = embeddedPlaces(stateDir);
  if (builtIn) for (const directory of places.directories) await mkdir(directory, { recursive: true, mode: 0o700 });
  else if (configuration.stateDatabase === places.database) await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await checkDirectories(configuration);
  return configuration;
}

async function givenSources(options: OpenOptions): Promise<GivenSources> {
  const environment = options.environment ?? process.env;
  const stateDir = stateDirectory(options.stateDir, environment);
  const configFiles = options.configFiles ?? [];
  const builtIn = configFiles.length === 0;
  return {
    files: builtIn ? [embeddedConfiguration(stateDir)] : await readConfigurationFiles(configFiles),
    environment,
    overrides: options.overrides ?? {},
    defaultDatabase: embeddedPlaces(stateDir).database,
    stateDir,
    builtIn,
  };
}

/** What a start would say of a configuration. */
export interface CheckedConfiguration {
  /** The files that were read, in their order. */
  readonly files: readonly string[];
  /** Each would stop the start. */
  readonly problems: readonly ConfigurationProblem[];
  readonly warnings: readonly string[];
}

/** How to check. */
export interface CheckOptions extends OpenOptions {
  /** As for `serveImages`. */
  readonly unauthenticated?: 'allow';
}

/**
 * Finds everything that would stop the start, and what it would warn of, at once. Starts nothing, makes nothing, asks no
 * other machine.
 */
export async function checkConfiguration(options: CheckOptions = {}): Promise<CheckedConfiguration> {
  try {
    return await checkSources(await givenSources(options), options);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { files: options.configFiles ?? [], problems: error.problems, warnings: [] };
  }
}

async function checkSources(sources: GivenSources, options: CheckOptions): Promise<CheckedConfiguration> {
  const { configuration, problems } = examineConfiguration(sources);
  const warnings = [...configuration.warnings];
  const log = (message: string): void => void warnings.push(message);
  const atStart = sources.builtIn ? 'made at start' : 'complain';
  const open = options.unauthenticated === 'allow' ? undefined : openAddressProblem(configuration);
  return {
    files: sources.files.map((file) => file.name),
    problems: [
      ...problems,
      ...(await directoryProblems(configuration, atStart)),
      ...(await lackingLogFile(configuration.operators.log.file)),
      ...targetOptionProblems(configuration, nodeImageTools(undefined)),
      ...(await accessProblems(configuration.access, log)),
      ...(open === undefined ? [] : [open]),
    ],
    warnings,
  };
}

async function lackingLogFile(file: string | undefined): Promise<readonly ConfigurationProblem[]> {
  if (file === undefined) return [];
  const there = await access(file, constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error,
  );
  const missing = there?.code === 'ENOENT';
  const fault = missing ? await access(dirname(file), constants.W_OK).catch((error: unknown) => error) : there;
  return fault === undefined ? [] : logFileProblems(file, fault);
}

/** What is said of a log file that cannot be written. */
export function logFileProblems(file: string | undefined, fault: unknown): readonly ConfigurationProblem[] {
  const { section, name: option } = OPERATOR_OPTIONS.logFile;
  const code = fault instanceof Error && 'code' in fault ? String(fault.code) : String(fault);
  const value = file === undefined ? {} : { value: file };
  return [{ section, option, ...value, message: `cannot be written (${code})` }];
}

async function accessProblems(
  settings: AccessSettings,
  log: (message: string) => void,
): Promise<readonly ConfigurationProblem[]> {
  const faults = await accessFaults(settings, { log, now: Date.now, sleep: async () => {} });
  return faults.flatMap(problemsOfAccess);
}

/** What is wrong with a file about access, one problem for each thing. */
export function problemsOfAccess(error: AccessError): readonly ConfigurationProblem[] {
  const { section, name: option } = ACCESS_OPTIONS[error.setting];
  return error.problems.map((message) => ({ section, option, value: error.path, message }));
}

/** Without authentication everybody is the administrator: that is for this machine alone. */
export function openAddressProblem(
  { access, bindHost }: Pick<Configuration, 'access' | 'bindHost'>,
  host: string = bindHost,
): ConfigurationProblem | undefined {
  if (isLoopback(host) || access.keystone !== undefined || access.tokenFile !== undefined) return undefined;
  return {
    section: 'DEFAULT',
    option: 'bind_host',
    value: host,
    message:
      'is not an address of this machine alone, and nobody is asked who they are; --allow-unauthenticated lets everybody in',
  };
}

/** Options of target formats that those formats refuse. */
export function targetOptionProblems(configuration: Configuration, tools: ImageTools): readonly ConfigurationProblem[] {
  return Object.entries(targetOptions(configuration)).flatMap(([format, options]) => {
    try {
      tools.checkOptions(format, options);
      return [];
    } catch (error) {
      const value = Object.entries(options).map(([name, given]) => `${name}=${given}`);
      const message = error instanceof Error ? error.message : String(error);
      return [{ section: 'diskmorph', option: `${format}_options`, value: value.join(','), message }];
    }
  });
}

/** How results of each format are made. */
export function targetOptions(configuration: Configuration): ImportSettings['targetOptions'] {
  const { rawOptions: raw, qcow2Options: qcow2, vmdkOptions: vmdk } = configuration;
  return { raw, qcow2, vmdk };
}

/** The tools of a service: images are only read in processes apart from this one, within the configured bounds. */
export function configuredTools(
  { conversionThreads: threads, safety }: Configuration,
  log: (message: string) => void,
): IsolatedTools {
  const { readerMemoryBytes: memoryBytes, readerPatienceMs: patienceMs } = safety;
  const local = nodeImageTools(threads === 0 ? undefined : threads);
  return isolatedImageTools(local, { threads, memoryBytes, patienceMs, log });
}
