/** The two services as their operators would set them up for one machine: SQLite, a store of files, nobody is asked who they are. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../fixtures/command.ts';
import { freePort } from '../../fixtures/free-port.ts';
import { requirePackage } from '../../fixtures/peers.ts';
import { requireInstalledProgram } from '../../fixtures/installed-program.ts';
import type { Program } from './contender.ts';

/** What both configurations say in the same words. */
function sharedConfiguration(folder: string, port: number): string {
  return `[DEFAULT]
bind_host = 127.0.0.1
bind_port = ${port}
enabled_backends = files:file
enabled_import_methods = [glance-direct,web-download]
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = ${folder}/store
[os_glance_staging_store]
filesystem_store_datadir = ${folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = ${folder}/tasks
[image_import_opts]
image_import_plugins = [image_conversion]
[image_conversion]
output_format = raw
`;
}

async function placesOf(work: string, name: string): Promise<{ readonly folder: string; readonly config: string }> {
  const folder = join(work, name);
  for (const place of ['store', 'staging', 'tasks', 'state']) await mkdir(join(folder, place), { recursive: true });
  return { folder, config: join(folder, 'service.conf') };
}

const DEBIANS_PASTE = '/etc/glance/glance-api-paste.ini';

/** Debian's Glance with as many workers as it starts by itself; installed when it is missing and may be. */
export async function glance(work: string): Promise<Program> {
  const command = await requirePackage('glance-api', 'glance-api');
  const manage = await requirePackage('glance-manage', 'glance-common');
  const { folder, config } = await placesOf(work, 'glance');
  const port = await freePort();
  const paste = join(folder, 'paste.ini');
  await writeFile(paste, (await readFile(DEBIANS_PASTE, 'utf8')).replaceAll(' unauthenticated-context ', ' context '));
  const own = `[database]
connection = sqlite:///${folder}/state/glance.db
[paste_deploy]
config_file = ${paste}
[oslo_concurrency]
lock_path = ${folder}/state
`;
  await writeFile(config, `${sharedConfiguration(folder, port)}${own}`);
  await runCommand(manage, ['--config-file', config, 'db_sync']);
  return {
    name: 'glance',
    command,
    arguments: ['--config-file', config],
    url: `http://127.0.0.1:${port}`,
    folder,
    storeFolder: join(folder, 'store'),
  };
}

/** Ours, built and packed as users have it. */
export async function diskmorph(work: string): Promise<Program> {
  const { diskmorph: program } = await requireInstalledProgram();
  const { folder, config } = await placesOf(work, 'diskmorph');
  const port = await freePort();
  const own = `[diskmorph]\nstate_database = sqlite:${folder}/state/state.db\n`;
  await writeFile(config, `${sharedConfiguration(folder, port)}${own}`);
  return {
    name: 'diskmorph',
    command: process.execPath,
    arguments: [program, 'serve', '--config-file', config],
    url: `http://127.0.0.1:${port}`,
    folder,
    storeFolder: join(folder, 'store'),
  };
}
