import type { ImageRecord } from '../../catalog/image.ts';
import { IMPORT_TASK_PROPERTY } from '../../catalog/image.ts';
import type { BlobPlace } from '../../catalog/repositories.ts';
import type { Step } from '../../flow/step.ts';
import { ImportError } from '../errors.ts';
import { diskFormatOf } from '../format-table.ts';
import { withProvenance } from '../provenance.ts';
import { refuseForeign } from '../image-in-use.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { stageName } from '../stage-context.ts';
import type { Verified } from '../state.ts';
import type { VerifyInput } from '../verify.ts';
import type { ConversionInput } from './state.ts';
import { placeName } from './state.ts';

type SwitchInput = ConversionInput & VerifyInput & Verified;

/**
 * The commit point: in one transaction the image names the new bytes, what it gives up is written down to be removed, and
 * the task has succeeded. Fields that users may change are left alone. Run again after it succeeded it changes nothing.
 */
export function switchStep<T>(parts: ImportParts<T>, of: StageOf): Step<SwitchInput, { readonly switched: true }> {
  return {
    name: stageName('Switch', of),
    pivot: true,
    async execute(input) {
      await parts.catalog.transaction(async ({ images, tasks, blobRemovals }) => {
        const task = await tasks.get(of.taskId);
        if (task.status === 'success') return;
        const image = await images.get(input.image_id);
        refuseForeign(image, of.taskId);
        refuseMoved(image, input);
        await images.save(image, {
          diskFormat: diskFormatOf(input.disk_format),
          containerFormat: input.container_format_after,
          size: input.size,
          virtualSize: input.virtual_size,
          checksum: input.checksum,
          osHashAlgo: 'sha512',
          osHashValue: input.os_hash_value,
          locations: input.filled_stores,
          properties: propertiesAfter(image, input),
        });
        for (const place of givenUp(parts, image)) await blobRemovals.add({ imageId: image.id, ...place });
        await tasks.save(task, {
          status: 'success',
          result: { image_id: image.id },
          expiresAt: parts.now() + parts.settings.taskTimeToLiveMs,
        });
      });
      return { switched: true };
    },
  };
}

/** Throws `conflict` when the image lies elsewhere than what was converted. */
function refuseMoved({ locations }: ImageRecord, { before }: SwitchInput): void {
  const places = new Set(locations.map(placeName));
  if (places.size === before.places.length && before.places.every((place) => places.has(place))) return;
  throw new ImportError('conflict', 'The image got other locations while it was converted');
}

/** Without the lock; with what the bytes were before, unless it is known what they were before that. */
function propertiesAfter(image: ImageRecord, input: SwitchInput): Readonly<Record<string, string>> {
  const { [IMPORT_TASK_PROPERTY]: _lock, ...properties } = image.properties;
  if (properties['source_format'] !== undefined) return properties;
  const host = properties['source_host'];
  return withProvenance(properties, {
    source: { format: input.source_format, size: input.source_size, sha512: input.source_hash },
    ...(host === undefined ? {} : { host }),
  });
}

/** The bytes that can go; what lies in a store that is only read belongs to somebody else. */
function givenUp<T>({ stores }: ImportParts<T>, { locations }: ImageRecord): readonly BlobPlace[] {
  return locations
    .filter(({ store }) => stores.get(store)?.readOnly !== true)
    .map(({ store, location }) => ({ store, location }));
}
