import { FAILED_STORES_PROPERTY, IMPORTING_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from '../../catalog/image.ts';
import type { Flow, FlowBuilder, FlowFactory, Step } from '../../flow/step.ts';
import { linearFlow } from '../../flow/step.ts';
import { storeFailures } from '../activate.ts';
import { concludeImport, IMPORT_ERROR_PROPERTY, MAX_PROPERTY_LENGTH } from '../conclude.ts';
import { convertOtherStep } from '../convert.ts';
import { refuseForeign } from '../image-in-use.ts';
import { scratchRemains } from '../scratch-files.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { stageName } from '../stage-context.ts';
import { verifyOtherStep } from '../verify.ts';
import { fetchStep } from './fetch.ts';
import type { PlaceInput } from './place.ts';
import { placeStep } from './place.ts';
import type { CopyInput } from './state.ts';

/**
 * Copies an image that is in use into further stores. It stays active throughout, with the places that it had; what this
 * job has added goes again when the job fails.
 */
export function copyFlow<T>(parts: ImportParts<T>): FlowFactory {
  return (job): Flow => {
    const input = job.input as CopyInput;
    const of: StageOf = { taskId: job.id, taskType: input.task_type, imageRepo: parts.catalog.images };
    let made: FlowBuilder<PlaceInput> = linearFlow<CopyInput>().add(fetchStep(parts, of));
    for (const form of input.forms) {
      if (form.conversion_format === null) continue;
      made = made.add(convertOtherStep(parts, of, form)).add(verifyOtherStep(parts, of, form));
    }
    for (const store of input.stores) made = made.add(placeStep(parts, of, store));
    return {
      steps: made.add(finishStep(parts, of)).steps,
      resultsRemain: scratchRemains,
      conclude: concludeImport(parts, job.id),
    };
  };
}

/** The commit point: the copies stay. Run again after it succeeded it changes nothing. */
function finishStep<T>(parts: ImportParts<T>, of: StageOf): Step<PlaceInput, { readonly copied: true }> {
  return {
    name: stageName('Finish', of),
    pivot: true,
    async execute(input) {
      const failures = storeFailures(input).join('; ');
      await parts.catalog.transaction(async ({ images, tasks }) => {
        const task = await tasks.get(of.taskId);
        if (task.status === 'success') return;
        const image = await images.get(input.image_id);
        refuseForeign(image, of.taskId);
        const { [IMPORT_TASK_PROPERTY]: _lock, ...properties } = image.properties;
        await images.save(image, {
          properties: {
            ...properties,
            [IMPORTING_STORES_PROPERTY]: '',
            [FAILED_STORES_PROPERTY]: input.failed_stores.join(','),
            ...(failures === '' ? {} : { [IMPORT_ERROR_PROPERTY]: failures.slice(0, MAX_PROPERTY_LENGTH) }),
          },
        });
        await tasks.save(task, {
          status: 'success',
          result: { image_id: image.id },
          message: failures,
          expiresAt: parts.now() + parts.settings.taskTimeToLiveMs,
        });
      });
      return { copied: true };
    },
  };
}
