import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import { LIMIT_OPTIONS } from './limit-options.ts';
import type { Configuration } from './load.ts';
import { IMPORT_OPTIONS } from './import-options.ts';
import { OPTIONS } from './options.ts';
import type { ConfigurationProblem } from './problem.ts';
import { ConfigurationError } from './problem.ts';
import { FILE_STORE_OPTIONS, HTTP_STORE_OPTIONS, S3_STORE_OPTIONS } from './store-options.ts';
import type { StoreSettings } from './store-settings.ts';
import { SINGLE_STORE_ID } from './stores.ts';

interface NeededPath {
  readonly section: string;
  readonly option: string;
  readonly path: string;
}

/** Makes sure that every configured directory is there and can be written, and every file of certificates read. Throws `ConfigurationError` naming each that is not. */
export async function checkDirectories(configuration: Configuration): Promise<void> {
  const problems = await directoryProblems(configuration);
  if (problems.length > 0) throw new ConfigurationError(problems);
}

/**
 * What `checkDirectories` would complain of; values that could not be read (they are empty) are not complained of
 * again. `missing`: what is said of a directory that is not there, nothing when whoever starts makes it.
 */
export async function directoryProblems(
  configuration: Configuration,
  missing: 'complain' | 'made at start' = 'complain',
): Promise<readonly ConfigurationProblem[]> {
  const problems: ConfigurationProblem[] = [];
  const stagingServer = configuration.stagingServer === undefined ? [] : [configuration.stagingServer];
  for (const needed of neededDirectories(configuration)) {
    if (!isAbsolute(needed.path)) continue;
    const message = await directoryFault(needed.path);
    if (message === undefined || (missing === 'made at start' && message === MISSING)) continue;
    problems.push({ section: needed.section, option: needed.option, value: needed.path, message });
  }
  for (const { section, option, path } of [
    ...[...configuration.stores, ...stagingServer].flatMap(neededCertificates),
    ...remoteCertificates(configuration),
  ]) {
    const readable = await access(path, constants.R_OK).then(
      () => true,
      () => false,
    );
    if (!readable) problems.push({ section, option, value: path, message: 'the file cannot be read' });
  }
  return problems;
}

const MISSING = 'the directory does not exist';

function neededDirectories(configuration: Configuration): readonly NeededPath[] {
  const multiStore = configuration.enabledBackends !== undefined;
  const needed = [place(multiStore ? OPTIONS.tasksStoreDatadir : OPTIONS.taskWorkDir, configuration.workDir)];
  if (multiStore && configuration.stagingStoreDatadir !== undefined) {
    needed.push(place(OPTIONS.stagingStoreDatadir, configuration.stagingStoreDatadir));
  }
  for (const store of configuration.stores) {
    if (store.type !== 'file') continue;
    const section = store.id === SINGLE_STORE_ID && !multiStore ? OPTIONS.singleStoreDatadir.section : store.id;
    const { datadir, datadirs } = FILE_STORE_OPTIONS;
    const { name } = store.directories.length === 1 ? datadir : datadirs;
    for (const { path } of store.directories) needed.push(place({ section, name }, path));
  }
  const { cache } = configuration.limits;
  if (cache !== undefined) needed.push(place(LIMIT_OPTIONS.imageCacheDir, cache.directory));
  const { database } = configuration;
  if (database.kind === 'sqlite') needed.push(place(OPTIONS.stateDatabase, dirname(database.path)));
  return needed;
}

function neededCertificates(store: StoreSettings): readonly NeededPath[] {
  if (store.type === 'file' || store.cacert === undefined) return [];
  const { name } = store.type === 's3' ? S3_STORE_OPTIONS.cacert : HTTP_STORE_OPTIONS.caCertificates;
  return [place({ section: store.id, name }, store.cacert)];
}

function remoteCertificates({ imports }: Configuration): readonly NeededPath[] {
  const { caCertificates } = imports.remotes;
  return caCertificates === undefined ? [] : [place(IMPORT_OPTIONS.caCertificates, caCertificates)];
}

function place(option: { readonly section: string; readonly name: string }, path: string): NeededPath {
  return { section: option.section, option: option.name, path };
}

async function directoryFault(path: string): Promise<string | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return 'is not a directory';
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return MISSING;
    if (code === 'EACCES' || code === 'EROFS') return 'the directory cannot be written';
    return error instanceof Error ? error.message : String(error);
  }
}
