import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ConfigurationText } from './load.ts';

/** Directories and files of an installation that nobody configured. Absolute paths. */
export interface EmbeddedPlaces {
  readonly stateDir: string;
  readonly database: string;
  /** Directories that are made when they are missing, because no operator was asked for them. */
  readonly directories: readonly string[];
}

/**
 * The state directory: the given one, else `DISKMORPH_STATE_DIR`, else `$XDG_STATE_HOME/diskmorph`, else
 * `~/.local/state/diskmorph`.
 */
export function stateDirectory(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const named = given ?? environment['DISKMORPH_STATE_DIR'];
  if (named !== undefined && named !== '') return resolve(named);
  const stateHome = environment['XDG_STATE_HOME'];
  // The XDG base directory specification: a relative path there is to be ignored.
  const base = stateHome?.startsWith('/') === true ? stateHome : join(homedir(), '.local', 'state');
  return join(base, 'diskmorph');
}

/** Where an installation without a configuration file keeps its things. */
export function embeddedPlaces(stateDir: string): EmbeddedPlaces {
  const directories = [stateDir, join(stateDir, 'store'), join(stateDir, 'work'), join(stateDir, 'staging')];
  return { stateDir, database: `sqlite:${join(stateDir, 'state.db')}`, directories };
}

/** The configuration that stands in when there is no file: one store of files, images converted to raw. */
export function embeddedConfiguration(stateDir: string): ConfigurationText {
  const at = (name: string): string => join(stateDir, name).replaceAll('$', '$$$$');
  const text = `
[DEFAULT]
enabled_backends = local:file

[glance_store]
default_backend = local

[local]
filesystem_store_datadir = ${at('store')}
store_description = Files in the state directory

[os_glance_tasks_store]
filesystem_store_datadir = ${at('work')}

[os_glance_staging_store]
filesystem_store_datadir = ${at('staging')}

[taskflow_executor]
conversion_format = raw

[image_import_opts]
image_import_plugins = [image_conversion]

[diskmorph]
state_database = sqlite:${at('state.db')}
`;
  return { name: '(built in)', text };
}
