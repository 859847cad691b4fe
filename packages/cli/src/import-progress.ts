import type { ImportProgress } from '@diskmorph/image-service';
import type { ProgressView } from './terminal/progress-view.ts';

const TITLES: Readonly<Record<string, string>> = {
  stage: 'Staging',
  inspect: 'Inspecting',
  convert: 'Converting',
  verify: 'Verifying',
  store: 'Storing',
  activate: 'Activating',
};

/** Shows the progress of an import in the view. */
export function importProgress(view: ProgressView): (progress: ImportProgress) => void {
  return ({ taskId, stage, progress }) => {
    const { doneBytes, totalBytes, percent, bytesPerSecond, etaSeconds } = progress;
    const shown = {
      title: TITLES[stage] ?? stage,
      bytesDone: doneBytes,
      bytesTotal: totalBytes ?? undefined,
      percent: percent ?? undefined,
      bytesPerSecond: bytesPerSecond ?? undefined,
      etaSeconds: etaSeconds ?? undefined,
    };
    view.show(shown, { taskId, stage, ...progress });
  };
}
