import type { ImageRecord } from '../catalog/image.ts';
import { FAILED_STORES_PROPERTY, IMPORTING_STORES_PROPERTY, IMPORT_TASK_PROPERTY } from '../catalog/image.ts';
import type { Step } from '../flow/step.ts';
import { IMPORT_ERROR_PROPERTY, MAX_PROPERTY_LENGTH } from './conclude.ts';
import { ImportError } from './errors.ts';
import type { Provenance } from './provenance.ts';
import { withProvenance } from './provenance.ts';
import type { ImportParts, StageOf } from './stage-context.ts';
import { stageName } from './stage-context.ts';
import { allForms, describedForm, imageForm, locationsOf } from './forms.ts';
import type { OtherForms, Stored, Verified } from './state.ts';
import type { VerifyInput } from './verify.ts';

/** Everything that the import has found out. */
export type ActivateInput = VerifyInput & Verified & OtherForms;

/**
 * The commit point: image and task say in one transaction what is true from now on. Once it has begun it is brought to
 * an end, never reverted; run again after it succeeded it changes nothing.
 */
export function activateStep<T>(parts: ImportParts<T>, of: StageOf): Step<ActivateInput, { readonly active: true }> {
  return {
    name: stageName('Activate', of),
    pivot: true,
    async execute(input) {
      const described = describedForm(input, input.filled_stores);
      await parts.catalog.transaction(async ({ images, tasks }) => {
        const task = await tasks.get(of.taskId);
        if (task.status === 'success') return;
        const image = await images.get(input.image_id);
        refuseForeign(image, of.taskId);
        await images.save(image, {
          status: 'active',
          ...imageForm(described),
          locations: locationsOf(input, input.filled_stores, described),
          properties: finalProperties(image, input),
        });
        await tasks.save(task, {
          status: 'success',
          result: { image_id: input.image_id },
          message: successMessage(input),
          expiresAt: parts.now() + parts.settings.taskTimeToLiveMs,
        });
      });
      return { active: true };
    },
  };
}

function refuseForeign(image: ImageRecord, taskId: string): void {
  const isWaiting = image.status === 'importing' || image.status === 'saving';
  if (isWaiting && image.properties[IMPORT_TASK_PROPERTY] === taskId) return;
  throw new ImportError('conflict', `The image became ${image.status} while it was imported`);
}

function finalProperties(image: ImageRecord, input: ActivateInput): Readonly<Record<string, string>> {
  const { [IMPORT_TASK_PROPERTY]: _lock, [IMPORT_ERROR_PROPERTY]: _error, ...properties } = image.properties;
  const failures = storeFailures(input);
  return {
    ...withProvenance({ ...properties, ...input.described?.properties, ...input.injected }, provenanceOf(input)),
    [IMPORTING_STORES_PROPERTY]: '',
    [FAILED_STORES_PROPERTY]: input.failed_stores.join(','),
    ...(failures.length === 0 ? {} : { [IMPORT_ERROR_PROPERTY]: failures.join('; ').slice(0, MAX_PROPERTY_LENGTH) }),
  };
}

function provenanceOf(input: ActivateInput): Provenance {
  const { source_path, source_format, source_size, source_hash, source_host } = input;
  const isKept = allForms(input).every((form) => form.file_path === source_path);
  return {
    ...(isKept ? {} : { source: { format: source_format, size: source_size, sha512: source_hash } }),
    ...(source_host === undefined ? {} : { host: source_host }),
  };
}

function successMessage(input: ActivateInput): string {
  return [input.conversion_note, ...storeFailures(input)].filter((part) => part !== '').join('; ');
}

/** What people are told of each store that could not be filled. */
export function storeFailures({ failed_stores: failed, store_failures: failures = [] }: Stored): readonly string[] {
  return failed.map((store) => {
    const failure = failures.find((each) => each.store === store);
    const reason = failure === undefined ? '' : `: ${failure.code}: ${failure.message}`;
    return `store "${store}" could not be filled${reason}`;
  });
}
