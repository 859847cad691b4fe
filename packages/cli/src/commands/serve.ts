import { once } from 'node:events';
import { serveImages } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { EXIT } from '../exit-code.ts';
import { programVersion } from '../program-version.ts';
import { SERVICE_OPTIONS, serviceOptions, tellingFailures } from '../service-access.ts';

/** `diskmorph serve`. */
export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serve the Images API over HTTP, and run the imports that are asked for.',
  operands: [],
  notes: [
    'Clients of OpenStack work against it: openstack --os-auth-type none --os-endpoint http://127.0.0.1:9292 image list. Without authentication it listens only on addresses of this machine.',
    'Ctrl-C or SIGTERM lets calls under way end and pauses imports; the next start goes on with them.',
  ],
  options: [
    { long: 'host', value: 'ADDRESS', summary: 'Where to listen, instead of what the configuration says; 127.0.0.1' },
    { long: 'port', value: 'PORT', summary: 'Which port, instead of what the configuration says; 9292' },
    {
      long: 'allow-unauthenticated',
      summary: 'Listen where other machines can reach it though nobody is asked who they are',
    },
    ...SERVICE_OPTIONS,
  ],
  examples: [
    { says: 'for this machine, with the built-in configuration', line: 'diskmorph serve' },
    { says: 'as an operator configured it', line: 'diskmorph serve --config-file /etc/glance/glance-api.conf' },
  ],
  run: runServe,
};

async function runServe(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  const host = given.text('host');
  const port = portOf(given.text('port'));
  await tellingFailures(async () => {
    const server = await serveImages({
      ...serviceOptions(given, context),
      ...(host === undefined ? {} : { host }),
      ...(port === undefined ? {} : { port }),
      ...(given.has('allow-unauthenticated') ? { unauthenticated: 'allow' } : {}),
      version: programVersion(),
    });
    terminal.note(`serving on ${server.url}\n`);
    if (!signal.aborted) await once(signal, 'abort');
    terminal.note('stopping\n');
    await server.close();
  });
  return EXIT.ok;
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new UsageError(`--port ${text} is no port`);
}
