import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION, PROGRESS_OPTIONS } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { importProgress } from '../import-progress.ts';
import { tasksText } from '../import-text.ts';
import { SERVICE_OPTIONS, withService } from '../service-access.ts';
import { withProgressView } from '../work-options.ts';

/** `diskmorph resume`. */
export const resumeCommand: Command = {
  name: 'resume',
  summary: 'Bring imports that were cut off by a crash or a power failure to their end.',
  operands: [],
  notes: ['Ctrl-C pauses them; the next start goes on.'],
  options: [...SERVICE_OPTIONS, ...PROGRESS_OPTIONS, JSON_OPTION],
  exitCodes: [
    [EXIT.ok, 'all have succeeded, or there was none'],
    [EXIT.taskFailed, 'one of them has failed'],
  ],
  examples: [{ says: 'after a crash', line: 'diskmorph resume' }],
  afterCancel: () => 'unfinished imports are paused, and "diskmorph resume" goes on with them',
  run: runResume,
};

async function runResume(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  const tasks = await withService(given, context, (service) =>
    withProgressView(given, context, (view) => service.resume({ signal, onProgress: importProgress(view) })),
  );
  signal.throwIfAborted();
  if (given.has('json')) await terminal.json(tasks);
  else if (!given.has('quiet')) {
    await terminal.out(tasks.length === 0 ? 'Nothing was cut off.\n' : tasksText(tasks, terminal.outStyle));
  }
  return tasks.every((task) => task.status === 'success') ? EXIT.ok : EXIT.taskFailed;
}
