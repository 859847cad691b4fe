import { createHash } from 'node:crypto';
import type { ImageRecord } from '../../catalog/image.ts';
import type { SpaceLedger } from '../../staging/space.ts';
import type { BlobRange } from '../../store/store.ts';
import { readerFor } from '../convert.ts';
import { ImportError } from '../errors.ts';
import { diskFormatOf } from '../format-table.ts';
import { heldPlace } from '../held-blobs.ts';
import { WRAPPING_CONTAINERS } from '../image-data.ts';
import type { ImageInFormat, ImageTools } from '../image-tools.ts';
import type { StoredData } from '../stored-data.ts';
import { openStoredPlace } from '../stored-data.ts';
import type { WantedFormat } from '../target-choice.ts';
import { chosenWriter } from '../target-choice.ts';
import { newDownloadPlan } from './download-plan.ts';
import type { IdleReaders } from './idle-readers.ts';
import { idleReaders } from './idle-readers.ts';
import type { KeptPlans } from './kept-plans.ts';
import { keptPlans } from './kept-plans.ts';
import { promiseRoom } from './plan-room.ts';
import type { Turns } from './turns.ts';
import { turns } from './turns.ts';
import type { Original, OriginalParts } from './original.ts';
import { openOriginal } from './original.ts';

/** What downloads in other formats need. */
export interface ConvertedParts extends OriginalParts {
  readonly tools: ImageTools;
  /** The image as its record describes it; undefined when it has no data. */
  readonly open: (image: ImageRecord) => Promise<StoredData | undefined>;
  /** Where what is remembered of downloads lies, in files without names. */
  readonly directory: string;
  /** Promises of space there. */
  readonly space: SpaceLedger;
  /** Downloads at the same time; 0: none. */
  readonly most: number;
  /** Milliseconds for which the plan of a download is remembered; 0: it is not. */
  readonly planLifetimeMs: number;
  /** Milliseconds after which a receiver that takes nothing is given up. */
  readonly stallMs: number;
  /** The same for a reader that makes nothing. */
  readonly readerStallMs: number;
  readonly log: (message: string) => void;
}

/** An image in another format; it is read once, or closed. */
export interface ConvertedData extends StoredData {
  /** MD5 of all of it, in hex; null where it is not known. */
  readonly checksum: string | null;
  /** Changes when the bytes do; null where nobody can tell. */
  readonly tag: string | null;
  readonly stallMs: number;
  /** Ends the work at once; harmless when it has ended. */
  close(): Promise<void>;
}

/** Gives images in other formats than they are stored in, made while they are read. */
export interface ConvertedDownloads {
  /**
   * The image in the wanted format: as it is stored, where a store has it so and no options are given. Undefined when the
   * image has no data. Throws `invalid_value`, `not_convertible`, `busy`, and what its reader throws.
   */
  open(image: ImageRecord, wanted: WantedFormat, signal: AbortSignal): Promise<ConvertedData | undefined>;
  /** Forgets what is known of an image that is gone, so that nothing keeps its bytes. */
  forget(imageId: string): Promise<void>;
  /** Forgets everything. */
  close(): Promise<void>;
}

/** How soon to come again when there are too many. */
const RETRY_AFTER_SECONDS = 10;

/** The downloads of this process. */
export function convertedDownloads(parts: ConvertedParts): ConvertedDownloads {
  const plans = keptPlans(parts.planLifetimeMs, parts.log);
  const idle = idleReaders(parts.most);
  const planning = turns();
  let running = 0;
  const take = (): (() => void) => {
    if (parts.most === 0) throw new ImportError('invalid_value', 'Downloads in another format are switched off');
    if (running >= parts.most) throw new BusyError();
    running++;
    return () => void running--;
  };
  return {
    async open(image, wanted, signal) {
      const writer = chosenWriter(parts.tools, wanted);
      const stored = await storedAlready(parts, image, { writer, wanted });
      if (stored !== undefined) return stored;
      if (image.locations.length === 0) return undefined;
      const reader = readerFor(image.diskFormat ?? '', parts.tools.readable);
      if (WRAPPING_CONTAINERS.has(image.containerFormat ?? '')) {
        throw new ImportError('not_convertible', `An image in a container (${image.containerFormat}) is not converted`);
      }
      const release = take();
      try {
        const target = { format: writer, options: wanted.options, fileName: `${image.id}.${writer}` };
        return await openConverted({ parts, plans, idle, planning, release }, image, { reader, target, signal });
      } catch (error) {
        release();
        throw error;
      }
    },
    async forget(imageId) {
      idle.forget(keyBeginning(imageId));
      await plans.forget(keyBeginning(imageId));
    },
    async close() {
      idle.close();
      await plans.close();
    },
  };
}

class BusyError extends ImportError {
  readonly retryAfterSeconds = RETRY_AFTER_SECONDS;

  constructor() {
    super('busy', 'Too many images are being downloaded in other formats just now; try again later');
  }
}

/** The bytes of a store that has the image in that format. */
async function storedAlready(
  { stores, held, stallMs, open }: ConvertedParts,
  image: ImageRecord,
  { writer, wanted }: { readonly writer: string; readonly wanted: WantedFormat },
): Promise<ConvertedData | undefined> {
  if (Object.keys(wanted.options).length > 0) return undefined;
  const diskFormat = diskFormatOf(writer) === 'raw' && image.diskFormat === 'gpt' ? 'gpt' : diskFormatOf(writer);
  const sent = { stallMs, close: async () => {} };
  if (diskFormat === image.diskFormat) {
    const data = await open(image);
    return data === undefined ? undefined : { ...data, ...sent, checksum: image.checksum, tag: image.checksum };
  }
  const place = heldPlace(held, await openStoredPlace(stores, image, diskFormat));
  if (place === undefined) return undefined;
  const { checksum } = place.form;
  return { ...place, ...sent, checksum, tag: checksum };
}

interface Surroundings {
  readonly parts: ConvertedParts;
  readonly plans: KeptPlans;
  readonly idle: IdleReaders;
  readonly planning: Turns;
  readonly release: () => void;
}

interface Conversion {
  readonly reader: string;
  readonly target: Target;
  readonly signal: AbortSignal;
}

async function openConverted(
  surroundings: Surroundings,
  image: ImageRecord,
  conversion: Conversion,
): Promise<ConvertedData> {
  const { parts, idle, release } = surroundings;
  const { target } = conversion;
  const original = await openOriginal(parts, image);
  if (original === undefined)
    throw new ImportError('conflict', `Image ${image.id} has no data as its record describes it`);
  try {
    const key = planKey(image, original, conversion);
    const idleKey = `${key} ${original.place}`;
    const made = idle.take(idleKey) ?? (await openAnew(surroundings, { original, key, conversion }));
    let ending: Promise<void> | undefined;
    const end = (how: 'whole' | 'cut'): Promise<void> =>
      (ending ??= (async () => {
        if (how === 'whole') idle.put(idleKey, made);
        else made.close();
        await original.close();
        release();
      })());
    const leave = (): void => void end('cut');
    conversion.signal.addEventListener('abort', leave, { once: true });
    if (conversion.signal.aborted) leave();
    const { sizeBytes } = made.planned.target;
    return {
      sizeBytes,
      read: (range = { offset: 0, length: sizeBytes }) => pieces(made, range, end),
      checksum: null,
      tag: image.checksum === null ? null : `${image.checksum}-${variantOf(target)}`,
      stallMs: parts.stallMs,
      close: () => end('cut'),
    };
  } catch (error) {
    await original.close();
    throw error;
  }
}

interface Opening {
  readonly original: Original;
  readonly key: string;
  readonly conversion: Conversion;
}

/** By a plan that is remembered, or one that is made now. Of those who need the same plan one makes it, the others wait. */
async function openAnew(surroundings: Surroundings, opening: Opening): Promise<ImageInFormat> {
  const { parts, plans, planning } = surroundings;
  const { key, conversion } = opening;
  const open = (): Promise<ImageInFormat> => openByPlan(surroundings, opening);
  const isShared = parts.planLifetimeMs > 0 && plans.get(key) === undefined;
  return isShared ? planning.during(key, conversion.signal, open) : open();
}

async function openByPlan(
  { parts, plans }: Surroundings,
  { original, key, conversion: { reader, target, signal } }: Opening,
): Promise<ImageInFormat> {
  const plan = plans.get(key) ?? (await newDownloadPlan(parts.directory));
  const release = plan.use();
  try {
    const { planned, tablesFd, runsFd } = plan;
    const made = await parts.tools.openInFormat(
      { source: original.at, format: reader, target, tablesFd, runsFd, planned },
      {
        signal,
        stallMs: parts.readerStallMs,
        room: (bytes) => promiseRoom({ ...parts, plans }, plan, bytes),
      },
    );
    plan.planned = made.planned;
    await plans.keep(key, plan);
    return made;
  } finally {
    // What was written is on the disk now, and counts there.
    await parts.space.release(plan.id);
    await release();
  }
}

type Target = WantedFormat & { readonly fileName: string };

/** The same for the same bytes in the same format. */
function planKey(image: ImageRecord, { place }: Original, { reader, target }: Conversion): string {
  return (
    keyBeginning(image.id) + JSON.stringify([image.osHashValue ?? place, reader, target.format, sortedOptions(target)])
  );
}

function keyBeginning(imageId: string): string {
  return `${imageId} `;
}

function variantOf(target: Target): string {
  const options = sortedOptions(target);
  if (options.length === 0) return target.format;
  return `${target.format}-${createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 16)}`;
}

function sortedOptions({ options }: Target): readonly (readonly [string, string])[] {
  return Object.entries(options).sort(([first], [second]) => (first < second ? -1 : 1));
}

/** Whoever has the last byte finds that this download has ended. */
async function* pieces(
  made: ImageInFormat,
  range: BlobRange,
  end: (how: 'whole' | 'cut') => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let left = range.length;
  try {
    for await (const piece of made.read(range)) {
      left -= piece.length;
      if (left === 0) await end('whole');
      yield piece;
    }
  } finally {
    await end('cut');
  }
}
