import { ImageError } from '@diskmorph/disk-image';
import type { ImageForm, ImageRecord } from '../../catalog/image.ts';
import type { Step, StepContext } from '../../flow/step.ts';
import { ImportError } from '../errors.ts';
import { beginInUse, countedBytes } from '../image-in-use.ts';
import type { ImportParts, StageOf } from '../stage-context.ts';
import { inPhase, stageName } from '../stage-context.ts';
import type { MadeForm } from '../state.ts';
import { openStoredPlace } from '../stored-data.ts';
import { promiseForms } from './room.ts';
import type { CopyInput, Fetched } from './state.ts';
import { fetchedKey } from './state.ts';

/**
 * Brings what is copied from its store into the scratch directory, and holds it against the digests that are known of it.
 * The image stays as it is.
 */
export function fetchStep<T>(parts: ImportParts<T>, of: StageOf): Step<CopyInput, Fetched> {
  const { staging } = parts;
  const pathOf = (input: CopyInput, key: string): Promise<string> =>
    staging.pathOf(of.taskId, `${input.image_id}.stored${key === '' ? '' : `-${key}`}`);
  return {
    name: stageName('Stage', of),
    async execute(input, context) {
      const image = await beginInUse(parts, of, input.image_id);
      const fetched: Record<string, MadeForm> = {};
      for (const key of sourcesOf(input)) {
        fetched[key] = await fetchForm(parts, { image, key, path: await pathOf(input, key), context });
      }
      const main = fetched[''];
      const staged: Fetched = {
        fetched,
        source_path: main?.file_path ?? '',
        source_virtual_size: main?.virtual_size ?? 0,
        filled_stores: [],
        failed_stores: [],
      };
      await promiseForms(parts, of, { input: { ...input, ...staged }, context });
      return staged;
    },
    async revert(input) {
      for (const key of sourcesOf(input)) await staging.discard(await pathOf(input, key));
    },
  };
}

function sourcesOf({ forms }: CopyInput): readonly string[] {
  return [...new Set(forms.map(fetchedKey))];
}

interface Fetching {
  readonly image: ImageRecord;
  readonly key: string;
  readonly path: string;
  readonly context: StepContext;
}

async function fetchForm<T>(parts: ImportParts<T>, { image, key, path, context }: Fetching): Promise<MadeForm> {
  const { staging, stores } = parts;
  const { jobId, signal, report } = context;
  const place = await openStoredPlace(stores, image, key === '' ? undefined : key);
  if (place === undefined) throw new ImportError('gone', 'The data of the image is no longer where it was');
  try {
    await staging.reserve(jobId, place.sizeBytes);
    const onBytes = inPhase('stage', report);
    const stored = place.store.read(place.location, undefined, signal);
    const hashed = staging.hashed(stored, ['md5', 'sha512']);
    const { sizeBytes } = await staging.receive(
      path,
      countedBytes(hashed.bytes, (done) => onBytes(done, place.sizeBytes)),
    );
    const { digests } = await hashed.result();
    refuseDamaged(place.form, { size: sizeBytes, ...digests });
    return {
      file_path: path,
      converted: false,
      disk_format: place.form.diskFormat ?? '',
      container_format: place.form.containerFormat ?? 'bare',
      size: sizeBytes,
      virtual_size: place.form.virtualSize,
      checksum: digests.md5,
      os_hash_value: digests.sha512,
    };
  } finally {
    await staging.release(jobId);
  }
}

interface ReadBytes {
  readonly size: number;
  readonly md5: string;
  readonly sha512: string;
}

/** Throws `corrupt` for bytes that are not what was stored once. */
function refuseDamaged({ size, checksum, osHashAlgo, osHashValue }: ImageForm, read: ReadBytes): void {
  const isSame =
    (size === null || size === read.size) &&
    (checksum === null || checksum === read.md5) &&
    (osHashAlgo !== 'sha512' || osHashValue === null || osHashValue === read.sha512);
  if (!isSame) throw new ImageError('corrupt', 'The stored data is not what was stored: its digests are others');
}
