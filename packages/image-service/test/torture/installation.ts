import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The stores of an installation. */
export const STORES: readonly string[] = ['a', 'b'];

/** What imports are converted to. */
export const IMPORTED_AS = 'qcow2';

/** A service's directories and configuration file. */
export interface Installation {
  readonly dir: string;
  readonly configFile: string;
  /** The files in a store, by name. */
  stored(store: string): Promise<readonly string[]>;
  storedPath(store: string, name: string): string;
  /** Everything below the work directory and the staging store, by path from there. */
  unfinished(): Promise<readonly string[]>;
}

/** Where the state is kept: options of the configuration file, section by section. */
export type StateOptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Makes an installation in `dir`. */
export async function makeInstallation(
  dir: string,
  parts: { readonly samplePort: number; readonly state: StateOptions; readonly uploads?: 'are converted' },
): Promise<Installation> {
  const places = ['work', 'staging', 'state', ...STORES.map((store) => `store-${store}`)];
  for (const place of places) await mkdir(join(dir, place), { recursive: true });
  const configFile = join(dir, 'diskmorph.conf');
  await writeFile(configFile, configuration(dir, parts));
  const below = async (place: string): Promise<readonly string[]> =>
    (await readdir(join(dir, place), { recursive: true })).map((name) => `${place}/${name}`);
  return {
    dir,
    configFile,
    stored: (store) => readdir(join(dir, `store-${store}`)),
    storedPath: (store, name) => join(dir, `store-${store}`, name),
    unfinished: async () => [...(await below('work')), ...(await below('staging'))],
  };
}

function configuration(dir: string, { samplePort, state, uploads }: Parameters<typeof makeInstallation>[1]): string {
  const sections: StateOptions = {
    DEFAULT: { enabled_backends: STORES.map((store) => `${store}:file`).join(', ') },
    glance_store: { default_backend: 'a' },
    ...Object.fromEntries(STORES.map((store) => [store, { filesystem_store_datadir: `${dir}/store-${store}` }])),
    os_glance_tasks_store: { filesystem_store_datadir: `${dir}/work` },
    os_glance_staging_store: { filesystem_store_datadir: `${dir}/staging` },
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
