import { openWorker } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { EXIT } from '../exit-code.ts';
import { programVersion } from '../program-version.ts';
import { SERVICE_OPTIONS, serviceOptions, tellingFailures } from '../service-access.ts';
import { untilAskedToEnd } from '../asked-to-end.ts';

/** `diskmorph worker`. */
export const workerCommand: Command = {
  name: 'worker',
  summary: 'Run the tasks that "diskmorph serve" is asked for, on this machine or another one. Needs PostgreSQL.',
  operands: [],
  notes: [
    'Any number of workers share the work. One that dies or freezes is replaced by another, which goes on where it was.',
    'Ctrl-C or SIGTERM hands what runs over to other workers, which go on with it, and ends. SIGUSR1 drains: what runs is finished, nothing else is taken, then it ends.',
  ],
  options: [...SERVICE_OPTIONS],
  examples: [
    { says: 'beside "diskmorph serve --no-worker"', line: 'diskmorph worker --config-file /etc/diskmorph.conf' },
  ],
  run: runWorker,
};

async function runWorker(given: GivenArguments, context: CommandContext): Promise<number> {
  await tellingFailures(async () => {
    const { log: _told, ...options } = serviceOptions(given, context);
    const worker = await openWorker({ ...options, logging: 'process', version: programVersion() });
    await untilAskedToEnd(context.signal, (signal) => worker.finish(signal));
    await worker.close();
  });
  return EXIT.ok;
}
