import type { AnyStep, Flow, Step } from '../flow/step.ts';
import { localPath } from '../staging/source-url.ts';
import { activateStep } from './activate.ts';
import type { ConvertInput, WarnUnset } from './convert.ts';
import { convertStep } from './convert.ts';
import { inspectStep } from './inspect.ts';
import { stageStep } from './stage.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import type { Converted } from './state.ts';
import { verifyStep } from './verify.ts';

/** Makes the flow of one stage for one task. */
export interface StageFlow {
  getFlow(of: StageOf): Flow;
}

/** What the stage `convert` needs when it runs by itself; the rest comes from the configuration. */
export type ConvertTask = {
  readonly image_id: string;
  /** A path, possibly written as a file: URL. */
  readonly file_path: string;
};

/**
 * The registry of import flows: each stage as a linear flow of one task, by name.
 * `get('convert').getFlow({ taskId, taskType, imageRepo })` has the task `<task type>-Convert-<task id>`, which needs
 * `image_id` and `file_path` and gives `file_path`.
 */
export function flowRegistry<T>(parts: ImportParts<T>, warnUnset: WarnUnset): ReadonlyMap<string, StageFlow> {
  return new Map([
    ['stage', stageFlow((of) => stageStep(parts, of))],
    ['inspect', stageFlow((of) => inspectStep(parts, of))],
    ['convert', stageFlow((of) => configured(parts, convertStep(parts, of, { warnUnset })))],
    ['verify', stageFlow((of) => verifyStep(parts, of))],
    ['activate', stageFlow((of) => activateStep(parts, of))],
  ]);
}

function stageFlow(makeStep: (of: StageOf) => AnyStep): StageFlow {
  return { getFlow: (of) => ({ steps: [makeStep(of)] }) };
}

/** The conversion with target and options as the configuration says now. */
function configured<T>(
  { settings }: ImportParts<T>,
  step: Step<ConvertInput, Converted>,
): Step<ConvertTask, Converted> {
  const complete = (task: ConvertTask): ConvertInput => {
    const format = settings.conversionFormat ?? null;
    return {
      image_id: task.image_id,
      file_path: localPath(task.file_path),
      conversion_format: format,
      conversion_options: format === null ? {} : (settings.targetOptions[format] ?? {}),
    };
  };
  return {
    name: step.name,
    execute: async (task, context) => step.execute(complete(task), context),
    revert: async (task, outcome, context) => step.revert?.(complete(task), outcome, context),
  };
}
