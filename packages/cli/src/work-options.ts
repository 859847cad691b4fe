import type { ProgressPhase } from '@diskmorph/disk-image';
import type { FileWork } from '@diskmorph/disk-image-node';
import type { CommandContext } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import type { ProgressView } from './terminal/progress-view.ts';
import { chooseProgressMode, progressView } from './terminal/progress-view.ts';

const PHASE_TITLES: Readonly<Record<ProgressPhase, string>> = {
  copy: 'Copying',
  verify: 'Verifying',
  digest: 'Reading',
  compare: 'Comparing',
  pack: 'Packing',
  checksum: 'Checksums',
};

/** Runs long work with the progress view, threads and cancelling that the options ask for; the view is gone afterwards. */
export async function withProgress<T>(
  given: GivenArguments,
  context: CommandContext,
  work: (how: FileWork) => Promise<T>,
): Promise<T> {
  const workers = given.integer('workers', 0);
  return withProgressView(given, context, (view) =>
    work({
      callingThread: 'works',
      signal: context.signal,
      onProgress: (progress) => view.show({ ...progress, title: PHASE_TITLES[progress.phase] }, progress),
      ...(workers === undefined ? {} : { workers }),
    }),
  );
}

/** Gives `work` the view that `--progress` and `--quiet` ask for; it is gone afterwards. */
export async function withProgressView<T>(
  given: GivenArguments,
  { terminal }: CommandContext,
  work: (view: ProgressView) => Promise<T>,
): Promise<T> {
  const mode = chooseProgressMode(given.text('progress'), given.has('quiet'), terminal);
  const view = progressView(mode, terminal, () => performance.now());
  try {
    return await work(view);
  } finally {
    view.close();
  }
}
