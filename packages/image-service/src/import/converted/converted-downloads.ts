import { createHash } from 'node:crypto';
import type { UnwrittenFile } from '@diskmorph/disk-image-node';
import type { ImageRecord } from '../../catalog/image.ts';
import type { BlobRange, ImageStore } from '../../store/store.ts';
import { readerFor } from '../convert.ts';
import { ImportError } from '../errors.ts';
import { diskFormatOf } from '../format-table.ts';
import type { HeldBlobs } from '../held-blobs.ts';
import { heldPlace } from '../held-blobs.ts';
import { WRAPPING_CONTAINERS } from '../image-data.ts';
import type { ImageTools } from '../image-tools.ts';
import type { StoredData, StoredPlace } from '../stored-data.ts';
import { openStoredPlace } from '../stored-data.ts';
import { storedSource } from '../stored-source.ts';
import type { WantedFormat } from '../target-choice.ts';
import { chosenWriter } from '../target-choice.ts';
import type { KeptPlans } from './kept-plans.ts';
import { keptPlans } from './kept-plans.ts';

/** What downloads in other formats need. */
export interface ConvertedParts {
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly tools: ImageTools;
  readonly held: HeldBlobs;
  /** Where what is remembered of downloads lies, in files without names. */
  readonly directory: string;
  /** Downloads at the same time; 0: none. */
  readonly most: number;
  /** Milliseconds for which the plan of a download is remembered; 0: it is not. */
  readonly planLifetimeMs: number;
  /** Milliseconds after which a reader that takes nothing is given up. */
  readonly stallMs: number;
  /** The same for a thread that makes nothing. */
  readonly threadStallMs: number;
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
  /** Forgets everything. */
  close(): Promise<void>;
}

/** How soon to come again when there are too many. */
const RETRY_AFTER_SECONDS = 10;

/** The downloads of this process. */
export function convertedDownloads(parts: ConvertedParts): ConvertedDownloads {
  const plans = keptPlans(parts.planLifetimeMs, parts.log);
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
        return await openThread({ parts, plans, release }, image, { reader, writer, options: wanted.options, signal });
      } catch (error) {
        release();
        throw error;
      }
    },
    close: () => plans.close(),
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
  { stores, held, stallMs }: ConvertedParts,
  image: ImageRecord,
  { writer, wanted }: { readonly writer: string; readonly wanted: WantedFormat },
): Promise<ConvertedData | undefined> {
  if (Object.keys(wanted.options).length > 0) return undefined;
  const diskFormat = diskFormatOf(writer) === 'raw' && image.diskFormat === 'gpt' ? 'gpt' : diskFormatOf(writer);
  const place = heldPlace(held, await openStoredPlace(stores, image, diskFormat));
  if (place === undefined) return undefined;
  const { checksum } = place.form;
  return { ...place, checksum, tag: checksum, stallMs, close: async () => {} };
}

interface Surroundings {
  readonly parts: ConvertedParts;
  readonly plans: KeptPlans;
  readonly release: () => void;
}

interface Conversion {
  readonly reader: string;
  readonly writer: string;
  readonly options: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

async function openThread(
  { parts, plans, release }: Surroundings,
  image: ImageRecord,
  { reader, writer, options, signal }: Conversion,
): Promise<ConvertedData> {
  const place = await openStoredPlace(parts.stores, image);
  if (place === undefined)
    throw new ImportError('conflict', `Image ${image.id} has no data as its record describes it`);
  const letGo = parts.held.hold({ store: place.store.id, location: place.location });
  try {
    const target = { format: writer, options, fileName: `${image.id}.${writer}` };
    const key = planKey(place, { reader, target });
    const plan = plans.get(key);
    const file = await parts.tools.openInFormat({
      source: storedSource(place.store, place.location, place.sizeBytes),
      format: reader,
      target,
      directory: parts.directory,
      signal,
      stallMs: parts.threadStallMs,
      ...(plan === undefined ? {} : { plan }),
    });
    plans.keep(key, file.plan);
    let closing: Promise<void> | undefined;
    const end = async (): Promise<void> => {
      await file.close();
      letGo();
      release();
    };
    const close = (): Promise<void> => (closing ??= end());
    const { sizeBytes } = file;
    const read = (range: BlobRange = { offset: 0, length: sizeBytes }): AsyncIterable<Uint8Array> =>
      pieces(file, range, close);
    const tag = place.form.checksum === null ? null : `${place.form.checksum}-${variantOf(target)}`;
    return { sizeBytes, read, checksum: null, tag, stallMs: parts.stallMs, close };
  } catch (error) {
    letGo();
    throw error;
  }
}

type Target = WantedFormat & { readonly fileName: string };

/** The same for the same bytes in the same format. */
function planKey({ store, location }: StoredPlace, made: { readonly reader: string; readonly target: Target }): string {
  return JSON.stringify([store.id, location, made.reader, made.target.fileName, sortedOptions(made.target)]);
}

function variantOf(target: Target): string {
  const options = sortedOptions(target);
  if (options.length === 0) return target.format;
  return `${target.format}-${createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 16)}`;
}

function sortedOptions({ options }: Target): readonly (readonly [string, string])[] {
  return Object.entries(options).sort(([first], [second]) => (first < second ? -1 : 1));
}

/** Bytes that are made at once, while those before are on their way. */
const PIECE_SIZE = 512 * 1024;

async function* pieces(
  file: UnwrittenFile,
  { offset, length }: BlobRange,
  close: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const end = offset + length;
  const pieceAt = async (position: number): Promise<Uint8Array | undefined> =>
    position < end ? file.read(position, Math.min(PIECE_SIZE, end - position)) : undefined;
  let next = pieceAt(offset);
  try {
    for (let position = offset; position < end; position += PIECE_SIZE) {
      const piece = await next;
      next = pieceAt(position + PIECE_SIZE);
      next.catch(() => {});
      // Whoever has the last byte finds that this download has ended.
      if (position + PIECE_SIZE >= end) await close();
      if (piece !== undefined) yield piece;
    }
  } finally {
    await close();
  }
}
