import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Staging } from './staging.ts';

/** The stores of an installation. */
export const STORES: readonly string[] = ['a', 'b'];

/** What imports are converted to, and what for a store that wants something else. */
export const IMPORTED_AS = 'qcow2';
export const OTHER_FORMAT = 'raw';

/** A service's directories and configuration file. */
export interface Installation {
  readonly dir: string;
  readonly configFile: string;
  /** The files in a store, by name. */
  stored(store: string): Promise<readonly string[]>;
  storedPath(store: string, name: string): string;
  /** Everything below the work directory and in the staging store: `work/...`, `staging/...`. */
  unfinished(): Promise<readonly string[]>;
}

/** Where the state is kept: options of the configuration file, section by section. */
export type StateOptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What an installation is made of. */
export interface InstallationParts {
  readonly samplePort: number;
  readonly state: StateOptions;
  readonly staging: Staging;
  readonly uploads?: 'are converted';
  /** The store that wants another format than the rest. */
  readonly otherStore?: string;
}

/** Makes an installation in `dir`. */
export async function makeInstallation(dir: string, parts: InstallationParts): Promise<Installation> {
  const places = ['work', 'state', ...STORES.map((store) => `store-${store}`)];
  for (const place of places) await mkdir(join(dir, place), { recursive: true });
  const configFile = join(dir, 'diskmorph.conf');
  const { staging } = parts;
  await writeFile(
    configFile,
    configuration(dir, { ...parts, state: { ...parts.state, ...(await staging.prepare(dir)) } }),
  );
  return {
    dir,
    configFile,
    stored: (store) => readdir(join(dir, `store-${store}`)),
    storedPath: (store, name) => join(dir, `store-${store}`, name),
    unfinished: async () => [
      ...(await readdir(join(dir, 'work'), { recursive: true })).map((name) => `work/${name}`),
      ...(await staging.contents()).map((name) => `staging/${name}`),
    ],
  };
}

function storeOptions(dir: string, store: string, otherStore: string | undefined): StateOptions[string] {
  const directory = { filesystem_store_datadir: `${dir}/store-${store}` };
  return store === otherStore ? { ...directory, output_format: OTHER_FORMAT } : directory;
}

function configuration(
  dir: string,
  { samplePort, state, uploads, otherStore }: Omit<InstallationParts, 'staging'>,
): string {
  const sections: StateOptions = {
    DEFAULT: { enabled_backends: STORES.map((store) => `${store}:file`).join(', ') },
    glance_store: { default_backend: 'a' },
    ...Object.fromEntries(STORES.map((store) => [store, storeOptions(dir, store, otherStore)])),
    os_glance_tasks_store: { filesystem_store_datadir: `${dir}/work` },
    image_import_opts: { image_import_plugins: '[image_conversion]' },
    image_conversion: { output_format: IMPORTED_AS, convert_uploads: String(uploads === 'are converted') },
    // A task that is killed ten times is given up: few at a time come further between two kills.
    taskflow_executor: { conversion_format: IMPORTED_AS, max_workers: '3' },
    import_filtering_opts: { allowed_import_ports: String(samplePort), allowed_import_addresses: '127.0.0.1' },
    ...state,
  };
  return Object.entries(sections)
    .map(([name, options]) => {
      const lines = Object.entries(options).map(([option, value]) => `${option} = ${value}`);
      return [`[${name}]`, ...lines, ''].join('\n');
    })
    .join('\n');
}
