import type { Flow, FlowFactory } from '../../flow/step.ts';
import { linearFlow } from '../../flow/step.ts';
import { convertStep } from '../convert.ts';
import { releaseInUse } from '../image-in-use.ts';
import { inspectStep } from '../inspect.ts';
import { scratchRemains } from '../scratch-files.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { verifyStep } from '../verify.ts';
import { fetchStep } from './fetch.ts';
import type { ConversionInput } from './state.ts';
import { placeStep } from './place.ts';
import { conversionRoom } from './room.ts';
import { switchStep } from './switch.ts';

/** The name under which the engine knows the flow of conversions in place. */
export const CONVERSION_FLOW = 'conversion';
/** The type of its tasks. */
export const CONVERSION_TASK = 'api_image_convert';

/**
 * Converts an image that is in use. It keeps its bytes, and gives them to whoever asks, until one transaction names the
 * new ones; every earlier step can be undone without a trace.
 */
export function conversionFlow<T>(parts: ImportParts<T>): FlowFactory {
  return (job): Flow => {
    const input = job.input as ConversionInput;
    const of: StageOf = { taskId: job.id, taskType: input.task_type, imageRepo: parts.catalog.images };
    let stored = linearFlow<ConversionInput>()
      .add(fetchStep(parts, of))
      .add(inspectStep(parts, of))
      .add(convertStep(parts, of, { warnUnset: () => {}, promise: conversionRoom(parts) }))
      .add(verifyStep(parts, of));
    for (const store of input.stores) stored = stored.add(placeStep(parts, of, store));
    return {
      steps: stored.add(switchStep(parts, of)).steps,
      resultsRemain: scratchRemains,
      async conclude(conclusion) {
        await parts.staging.remove(job.id);
        await releaseInUse(parts, job.id, conclusion);
      },
    };
  };
}
