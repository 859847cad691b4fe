import type { Flow, FlowBuilder, FlowFactory } from '../flow/step.ts';
import { linearFlow } from '../flow/step.ts';
import { activateStep } from './activate.ts';
import { concludeImport } from './conclude.ts';
import type { WarnUnset } from './convert.ts';
import { convertOtherStep, convertStep } from './convert.ts';
import { importRoom } from './import-room.ts';
import { inspectStep } from './inspect.ts';
import { scratchRemains } from './scratch-files.ts';
import { stageStep } from './stage.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import type { ImportInput, OtherForms } from './state.ts';
import { storeStep } from './store.ts';
import { verifyOtherStep, verifyStep } from './verify.ts';

/** The name under which the engine knows the flow of imports. */
export const IMPORT_FLOW = 'import';

type StateOf<Builder> = Builder extends FlowBuilder<infer State> ? State : never;

/** The road of an image: its stages in order, one `Convert` and `Verify` for each form, one `Store` for each store. */
export function importFlow<T>(parts: ImportParts<T>, warnUnset: WarnUnset): FlowFactory {
  return (job): Flow => {
    const input = job.input as ImportInput;
    const of: StageOf = { taskId: job.id, taskType: input.task_type, imageRepo: parts.catalog.images };
    const verified = linearFlow<ImportInput>()
      .add(stageStep(parts, of))
      .add(inspectStep(parts, of))
      .add(convertStep(parts, of, { warnUnset, promise: importRoom(parts, of) }))
      .add(verifyStep(parts, of));
    let made: FlowBuilder<StateOf<typeof verified> & OtherForms> = verified;
    for (const form of input.other_forms ?? []) {
      made = made.add(convertOtherStep(parts, of, form)).add(verifyOtherStep(parts, of, form));
    }
    let stored = made;
    for (const store of input.stores) stored = stored.add(storeStep(parts, of, store));
    return {
      steps: stored.add(activateStep(parts, of)).steps,
      resultsRemain: scratchRemains,
      conclude: concludeImport(parts, job.id),
    };
  };
}
