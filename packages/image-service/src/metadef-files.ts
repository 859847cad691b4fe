import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { namespaceOf } from './api/metadefs/documents.ts';
import { NAMESPACE_SCHEMA } from './api/metadefs/schemas.ts';
import { schemaCheck } from './api/schema-check.ts';
import { openCatalog } from './catalog/database/catalog.ts';
import type { NamespaceDefinition } from './catalog/metadefs/definition.ts';
import type { LoadMode, LoadOutcome, MetadefRepo } from './catalog/metadefs/repository.ts';
import { openConfiguration } from './configured.ts';
import { openDatabase } from './database.ts';
import type { OpenOptions } from './main.ts';

/** What became of one file. */
export interface LoadedMetadefs {
  readonly path: string;
  /** Null when the file does not say. */
  readonly namespace: string | null;
  readonly outcome: LoadOutcome | 'failed';
  /** Why it failed. */
  readonly message: string | null;
}

/** Bytes of one definition file; the largest one that comes with Glance has 30 KB. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;
/** Who owns what a file gives to nobody, as in Glance. */
const DEFAULT_OWNER = 'admin';

/**
 * Loads files of metadata definitions, each as a whole or not at all; of a directory, its `*.json` in the order of their
 * names; where no path is given, that of the configuration. A file that cannot be loaded does not keep the others out. Throws what keeps the database from being opened.
 */
export async function loadMetadefs(
  options: OpenOptions,
  { paths, mode }: { readonly paths: readonly string[]; readonly mode: LoadMode },
): Promise<readonly LoadedMetadefs[]> {
  const configuration = await openConfiguration(options);
  const database = await openDatabase(configuration.database, options.log ?? (() => {}));
  try {
    const { metadefs } = await openCatalog(database, Date.now);
    const loaded: LoadedMetadefs[] = [];
    const given = paths.length === 0 ? [configuration.metadefs.sourcePath] : paths;
    for (const path of given) {
      for (const file of await definitionFiles(path)) loaded.push(await loadFile(metadefs, file, mode));
    }
    return loaded;
  } finally {
    await database.destroy();
  }
}

/** The path itself unless it is a directory; what cannot be looked at is told when it is read. */
async function definitionFiles(path: string): Promise<readonly string[]> {
  const isDirectory = await stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
  if (!isDirectory) return [path];
  const names = await readdir(path);
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => join(path, name));
}

async function loadFile(metadefs: MetadefRepo, path: string, mode: LoadMode): Promise<LoadedMetadefs> {
  let namespace: string | null = null;
  try {
    const definition = await readDefinition(path);
    ({ namespace } = definition);
    return { path, namespace, outcome: await metadefs.load(definition, mode), message: null };
  } catch (error) {
    return { path, namespace, outcome: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

const check = schemaCheck(NAMESPACE_SCHEMA);

/** The definition in a file of Glance's form. Throws what is wrong with it. */
async function readDefinition(path: string): Promise<NamespaceDefinition> {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) throw new Error(`The file is larger than ${MAX_FILE_BYTES} bytes`);
  const document: unknown = JSON.parse(await readFile(path, 'utf8'));
  check(document);
  return namespaceOf(document as Readonly<Record<string, unknown>>, DEFAULT_OWNER);
}
