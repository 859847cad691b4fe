import { serveImages } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { EXIT } from '../exit-code.ts';
import { programVersion } from '../program-version.ts';
import { SERVICE_OPTIONS, serviceOptions, tellingFailures } from '../service-access.ts';
import { untilAskedToEnd } from '../asked-to-end.ts';

/** `diskmorph serve`. */
export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serve the Images API over HTTP, and run the imports that are asked for.',
  operands: [],
  notes: [
    'Clients of OpenStack work against it: openstack --os-auth-type none --os-endpoint http://127.0.0.1:9292 image list. Without authentication it listens only on addresses of this machine.',
    'Ctrl-C or SIGTERM lets calls under way end, as long as graceful_shutdown_timeout says, and pauses imports; the next start goes on with them. A second one ends the program at once.',
    'SIGUSR1 drains: the tasks that run here are finished, no others are begun, calls are answered meanwhile; then it ends.',
    'The log goes to standard error: text on a terminal, JSON elsewhere; log_file, use_json and debug of the configuration change that.',
  ],
  options: [
    { long: 'host', value: 'ADDRESS', summary: 'Where to listen, instead of what the configuration says; 127.0.0.1' },
    { long: 'port', value: 'PORT', summary: 'Which port, instead of what the configuration says; 9292' },
    {
      long: 'allow-unauthenticated',
      summary: 'Listen where other machines can reach it though nobody is asked who they are',
    },
    { long: 'no-worker', summary: 'Serve the API alone; "diskmorph worker" runs the tasks. Needs PostgreSQL' },
    ...SERVICE_OPTIONS,
  ],
  examples: [
    { says: 'for this machine, with the built-in configuration', line: 'diskmorph serve' },
    { says: 'as an operator configured it', line: 'diskmorph serve --config-file /etc/glance/glance-api.conf' },
  ],
  run: runServe,
};

async function runServe(given: GivenArguments, context: CommandContext): Promise<number> {
  const { signal } = context;
  const host = given.text('host');
  const port = portOf(given.text('port'));
  await tellingFailures(async () => {
    const { log: _told, ...options } = serviceOptions(given, context);
    const server = await serveImages({
      ...options,
      logging: 'process',
      ...(host === undefined ? {} : { host }),
      ...(port === undefined ? {} : { port }),
      ...(given.has('no-worker') ? { overrides: { 'diskmorph.run_tasks': 'false' } } : {}),
      ...(given.has('allow-unauthenticated') ? { unauthenticated: 'allow' } : {}),
      version: programVersion(),
    });
    await untilAskedToEnd(signal, (ended) => server.finishTasks(ended));
    await server.close();
  });
  return EXIT.ok;
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new UsageError(`--port ${text} is no port`);
}
