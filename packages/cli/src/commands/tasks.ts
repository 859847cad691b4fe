import type { TaskView } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { tasksText, taskText } from '../import-text.ts';
import { SERVICE_OPTIONS, withService } from '../service-access.ts';

/** `diskmorph tasks`. */
export const tasksCommand: Command = {
  name: 'tasks',
  summary: 'List the imports, newest first, with stage and progress, or show one with its steps.',
  operands: ['TASK'],
  optionalOperands: 1,
  options: [
    { long: 'cancel', summary: 'Ask for the end of TASK, also of one that another process runs; it is then undone' },
    ...SERVICE_OPTIONS,
    JSON_OPTION,
  ],
  examples: [
    { says: 'what is going on?', line: 'diskmorph tasks' },
    { says: 'why did it fail?', line: 'diskmorph tasks 6f1c2f1e-0a6c-4b7f-9f0e-3c1d4a5b6c7d' },
  ],
  run: runTasks,
};

async function runTasks(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const [wanted] = given.operands;
  if (given.has('cancel') && wanted === undefined) throw new UsageError('--cancel needs a TASK');
  const shown = await withService<TaskView | readonly TaskView[]>(given, context, async (service) => {
    if (wanted === undefined) return service.tasks();
    if (given.has('cancel')) await service.cancel(wanted);
    return service.task(wanted);
  });
  if (given.has('json')) await terminal.json(shown);
  else await terminal.out('id' in shown ? taskText(shown, terminal.outStyle) : tasksText(shown, terminal.outStyle));
  return EXIT.ok;
}
