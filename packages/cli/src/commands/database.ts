import type { DatabaseState } from '@diskmorph/image-service';
import { databaseState, openConfiguration, upgradeDatabase } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { SERVICE_OPTIONS, serviceOptions, tellingFailures } from '../service-access.ts';

/** `diskmorph database version`, `diskmorph database upgrade`. */
export const databaseCommand: Command = {
  name: 'database',
  summary: 'Say how far the tables of the database are (version), or bring them up to date (upgrade).',
  operands: ['ACTION'],
  notes: [
    'Every process of the service brings the tables up to date when it starts; upgrade does the same before the first of them, so that it takes no time then. Processes of the version before go on beside it.',
  ],
  options: [...SERVICE_OPTIONS, JSON_OPTION],
  exitCodes: [
    [EXIT.ok, 'the tables are up to date, or are now'],
    [EXIT.different, 'version: they are not'],
  ],
  examples: [
    { says: 'before an upgrade of the service', line: 'diskmorph database upgrade --config-file /etc/diskmorph.conf' },
  ],
  run: runDatabase,
};

async function runDatabase(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const [action = ''] = given.operands;
  if (action !== 'version' && action !== 'upgrade') throw new UsageError(`"${action}" is neither version nor upgrade`);
  const state = await tellingFailures(async () => {
    const { database } = await openConfiguration(serviceOptions(given, context));
    return action === 'version' ? databaseState(database) : upgradeDatabase(database);
  });
  if (given.has('json')) await terminal.json(state);
  else await terminal.out(`${stateText(state, action)}\n`);
  return action === 'version' && state.missing.length > 0 ? EXIT.different : EXIT.ok;
}

function stateText({ database, applied, missing, newer }: DatabaseState, action: 'version' | 'upgrade'): string {
  const last = applied.at(-1) ?? 'empty';
  const done = action === 'upgrade' ? 'changed now' : 'to be changed';
  return [
    `${database}: ${last}`,
    ...missing.map((name) => `  ${done}: ${name}`),
    ...newer.map((name) => `  of a newer version, and no harm to this one: ${name}`),
  ].join('\n');
}
