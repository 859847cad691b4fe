import type { FileWork } from '@diskmorph/disk-image-node';
import type { CommandContext } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { chooseProgressMode, progressView } from './terminal/progress-view.ts';

/** Runs long work with the progress view, threads and cancelling that the options ask for; the view is gone afterwards. */
export async function withProgress<T>(
  given: GivenArguments,
  context: CommandContext,
  work: (how: FileWork) => Promise<T>,
): Promise<T> {
  const { terminal, signal } = context;
  const workers = given.integer('workers', 0);
  const mode = chooseProgressMode(given.text('progress'), given.has('quiet'), terminal);
  const view = progressView(mode, terminal, () => performance.now());
  try {
    return await work({ signal, onProgress: view.listener, ...(workers === undefined ? {} : { workers }) });
  } finally {
    view.close();
  }
}
