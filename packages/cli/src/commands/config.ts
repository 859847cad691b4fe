import type { CheckedConfiguration } from '@diskmorph/image-service';
import { checkConfiguration, describeProblem, sampleConfiguration } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { EXIT } from '../exit-code.ts';
import { SERVICE_OPTIONS, serviceOptions } from '../service-access.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { plainText } from '../terminal/text-layout.ts';

/** `diskmorph config check`, `diskmorph config sample`. */
export const configCommand: Command = {
  name: 'config',
  summary:
    'Check the configuration of the service without starting it (check), or print a file with every option (sample).',
  operands: ['ACTION'],
  notes: [
    'check says everything at once that would stop "diskmorph serve", and what it would warn of. It starts nothing, makes no directory and asks no other machine.',
    'sample prints every option with its default, commented out.',
  ],
  options: [
    { long: 'allow-unauthenticated', summary: 'As for "diskmorph serve"' },
    { long: 'json', summary: 'What check finds, as JSON' },
    ...SERVICE_OPTIONS,
  ],
  examples: [
    { says: 'before a restart', line: 'diskmorph config check --config-file /etc/diskmorph/diskmorph.conf' },
    { says: 'a file to begin with', line: 'diskmorph config sample > diskmorph.conf' },
  ],
  exitCodes: [
    [EXIT.ok, 'the service would start'],
    [EXIT.configuration, 'it would not'],
  ],
  run: runConfig,
};

async function runConfig(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const [action = ''] = given.operands;
  if (action === 'sample') {
    await terminal.out(sampleConfiguration());
    return EXIT.ok;
  }
  if (action !== 'check') throw new UsageError(`"${action}" is neither check nor sample`);
  const checked = await checkConfiguration({
    ...serviceOptions(given, context),
    ...(given.has('allow-unauthenticated') ? { unauthenticated: 'allow' } : {}),
  });
  if (given.has('json')) await terminal.json(checked);
  else await tell(checked, terminal);
  return checked.problems.length === 0 ? EXIT.ok : EXIT.configuration;
}

async function tell({ files, problems, warnings }: CheckedConfiguration, terminal: Terminal): Promise<void> {
  const { noteStyle } = terminal;
  for (const warning of warnings) terminal.note(`${noteStyle.yellow('warning:')} ${plainText(warning)}\n`);
  for (const problem of problems)
    terminal.note(`${noteStyle.red('problem:')} ${plainText(describeProblem(problem))}\n`);
  const found = `${counted(problems.length, 'problem')}, ${counted(warnings.length, 'warning')}`;
  await terminal.out(`${files.join(', ')}: ${found}\n`);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
