import type { ByteSource, DiskImage, Format, OpenContext } from '@diskmorph/disk-image';
import {
  findFormat,
  formats,
  ImageError,
  openChain,
  PROBE_HEAD_SIZE,
  PROBE_TAIL_SIZE,
  readBytes,
  stackedImage,
} from '@diskmorph/disk-image';
import { openFileSource, openFileSourceSync } from './file-source.ts';
import type { ImagePlace } from './image-place.ts';
import { openPlace } from './image-place.ts';
import { joinedImage } from './joined-image.ts';
import type { LaneChoice } from './lane-count.ts';
import { nodeCodecs } from './native-codecs.ts';
import { pacedImage } from './paced-image.ts';
import { partOfImage } from './part-of-image.ts';
import type { ReferenceRules, SourceOpener } from './reference-rules.ts';
import { noReferences, referencePolicy } from './reference-rules.ts';
import { salvagedImage } from './salvaged-image.ts';

/** An image file and how to read it; plain data. */
export interface ImageFile extends ImagePlace {
  /** The format's name. Never guessed from the content unless the caller asked `detectFormat` to. */
  readonly format: string;
  /** Read this internal snapshot (id or name) instead of the current state. */
  readonly snapshot?: string;
  /** Which other files it may name; none when absent. */
  readonly references?: ReferenceRules;
  /** `ignore`: the backing image that the header names is not used; what it would give is zeros. */
  readonly backing?: 'follow' | 'ignore';
  /** The image stands on this one, whatever its header names. */
  readonly over?: ImageFile;
  /** Only these guest bytes are the disk. */
  readonly part?: { readonly offset: number; readonly size: number };
  /** Images whose guest bytes follow those of this one. */
  readonly followedBy?: readonly ImageFile[];
  /** The most guest bytes that are read in a second, for each thread that reads. */
  readonly bytesPerSecond?: number;
  /**
   * Guest bytes that cannot be read are zeros, and are reported here instead of ending the work. A function cannot be
   * given to threads, so none may be used.
   */
  readonly onUnreadable?: (offset: number, error: unknown) => void;
}

/** Opens the image with everything it stands on, as its format says. */
export function openImageFile(file: ImageFile): Promise<DiskImage> {
  return openAll(file, openFileSource);
}

/** The same with synchronous file access: for lanes of work that have a thread of their own. */
export function openImageFileSync(file: ImageFile): Promise<DiskImage> {
  return openAll(file, async (path) => openFileSourceSync(path));
}

/** The one or the other, as the calling thread will work or wait for those that do. */
export function openForWork(file: ImageFile, choice: LaneChoice): Promise<DiskImage> {
  return choice.callingThread === 'works' ? openImageFileSync(file) : openImageFile(file);
}

async function openAll(file: ImageFile, openSource: SourceOpener): Promise<DiskImage> {
  const whole = await openJoined(file, openSource);
  const image = file.part === undefined ? whole : partOfImage(whole, file.part);
  const paced = file.bytesPerSecond === undefined ? image : pacedImage(image, file.bytesPerSecond);
  return file.onUnreadable === undefined ? paced : salvagedImage(paced, file.onUnreadable);
}

async function openJoined(file: ImageFile, openSource: SourceOpener): Promise<DiskImage> {
  if (file.followedBy === undefined) return openWith(file, openSource);
  const opened: DiskImage[] = [];
  try {
    opened.push(await openWith(file, openSource));
    for (const one of file.followedBy) opened.push(await openAll(one, openSource));
  } catch (error) {
    await Promise.all(opened.map((image) => image.close()));
    throw error;
  }
  return joinedImage(opened);
}

async function openWith(file: ImageFile, openSource: SourceOpener): Promise<DiskImage> {
  const format = requireFormat(file.format);
  const references = referencePolicy(file.references ?? noReferences, file.path, openSource);
  const context = { codecs: nodeCodecs(), references };
  const own = file.snapshot === undefined ? context : { ...context, snapshot: file.snapshot };
  const top = await openLayer(format, await openPlace(file, openSource), own);
  const { over } = file;
  if (over !== undefined) return stackOn(top, () => openAll(over, openSource));
  if (file.backing === 'ignore') return top;
  return openChain(top, context, async (source, hint, layerContext) =>
    openLayer(hint === undefined ? await detect(source) : requireFormat(hint), source, layerContext),
  );
}

async function stackOn(top: DiskImage, openBelow: () => Promise<DiskImage>): Promise<DiskImage> {
  try {
    return stackedImage(top, await openBelow());
  } catch (error) {
    await top.close();
    throw error;
  }
}

async function openLayer(format: Format, source: ByteSource, context: OpenContext): Promise<DiskImage> {
  try {
    if (format.open !== undefined) return await format.open(source, context);
    const { encryption } = (await format.examine(source)).info;
    const why = encryption === undefined ? '' : `: the guest bytes are encrypted (${encryption})`;
    throw new ImageError('unsupported', `${format.name} images are recognised but cannot be read${why}`, {
      format: format.name,
    });
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The format of that name or alias. Throws `unsupported`, naming those there are. */
export function requireFormat(name: string): Format {
  const format = findFormat(name);
  if (format !== undefined) return format;
  const names = formats.map((known) => known.name).join(', ');
  throw new ImageError('unsupported', `"${name}" is not a known image format; known are ${names}`);
}

/** The first format whose signature what is at the place bears; raw when none does. */
export async function detectFormat(place: ImagePlace): Promise<Format> {
  const source = await openPlace(place);
  try {
    return await detect(source);
  } finally {
    await source.close();
  }
}

async function detect(source: ByteSource): Promise<Format> {
  const headSize = Math.min(source.size, PROBE_HEAD_SIZE);
  const tailSize = Math.min(source.size, PROBE_TAIL_SIZE);
  const head = await readBytes(source, 0, headSize);
  const tail = await readBytes(source, source.size - tailSize, tailSize);
  const found = formats.find((format) => format.probe({ size: source.size, head, tail }));
  return found ?? requireFormat('raw');
}
