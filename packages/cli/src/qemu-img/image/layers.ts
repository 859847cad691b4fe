import { stat } from 'node:fs/promises';
import type { DiskImage, Format } from '@diskmorph/disk-image';
import { findFormat, MAX_CHAIN_DEPTH } from '@diskmorph/disk-image';
import { openImageFile } from '@diskmorph/disk-image-node';
import { Failure } from '../failure.ts';
import { findDriver, qemuName } from '../format-names.ts';
import type { KnownImage } from './image-source.ts';
import { examineImage, imageFile, knownImage, openingFailure, referencedPath, wrongFormat } from './image-source.ts';
import { fromName } from './location.ts';

/** One image of a chain, opened by itself. */
export interface Layer {
  readonly image: KnownImage;
  readonly disk: DiskImage;
  /** qemu-img's name of its format. */
  readonly driver: string;
}

/** Opens the image and all that it stands on, each by itself, the image itself first. Throws a failure. */
export async function openLayers(image: KnownImage, snapshot?: string): Promise<Layer[]> {
  const layers: Layer[] = [];
  const seen = new Set<string>();
  try {
    for (let next: KnownImage | undefined = image; next !== undefined; next = await backingOf(layers)) {
      const { dev, ino } = await stat(next.location.path);
      if (seen.has(`${dev}:${ino}`))
        throw new Failure(`Backing file '${next.location.path}' creates an infinite loop.`);
      if (seen.size >= MAX_CHAIN_DEPTH) throw new Failure(`More than ${MAX_CHAIN_DEPTH} images stand on each other`);
      seen.add(`${dev}:${ino}`);
      layers.push(await openLayer(next, layers, layers.length === 0 ? snapshot : undefined));
    }
    return layers;
  } catch (error) {
    await closeLayers(layers);
    throw error;
  }
}

/** Looks whether all that the image stands on can be opened. Throws a failure. Does nothing where references are denied. */
export async function requireChain(image: KnownImage): Promise<void> {
  if (process.env['DISKMORPH_REFERENCES'] === 'deny' || !image.location.hasBacking) return;
  const { info } = await examineImage(image);
  if (info.backing !== undefined) await closeLayers(await openLayers(image));
}

/** Closes all layers. */
export async function closeLayers(layers: readonly Layer[]): Promise<void> {
  await Promise.all(layers.map(({ disk }) => disk.close()));
}

async function openLayer(image: KnownImage, above: readonly Layer[], snapshot: string | undefined): Promise<Layer> {
  try {
    const disk = await openImageFile({ ...imageFile(image, snapshot), backing: 'ignore' });
    return { image, disk, driver: qemuName(image.format.name) };
  } catch (error) {
    throw backingFailure(above, image, openingFailure(image, error));
  }
}

/** A failure of an image below others in the words of qemu-img: the name of the first one, then how far down. */
function backingFailure(above: readonly Layer[], { location, format }: LayerName, failure: Failure): Failure {
  const [top] = above;
  if (top === undefined) return failure;
  const own = `Could not open '${location.given}': `;
  const [line = ''] = failure.lines;
  const why = line.startsWith(own) ? line.slice(own.length) : line;
  const isNamed = why.startsWith('Could not open ') || (format !== undefined && why === wrongFormat(format));
  const depth = 'Could not open backing file: '.repeat(above.length);
  return new Failure(`Could not open '${top.image.location.given}': ${depth}${isNamed ? '' : own}${why}`);
}

/** What is known of an image that could not be opened. */
interface LayerName {
  readonly location: { readonly given: string };
  readonly format?: Format | undefined;
}

async function backingOf(layers: readonly Layer[]): Promise<KnownImage | undefined> {
  const top = layers.at(-1);
  const backing = top?.disk.info.backing;
  if (top === undefined || backing === undefined || !top.image.location.hasBacking) return undefined;
  const name = referencedPath(top.image.location.path, backing.name) ?? backing.name;
  const depth = 'Could not open backing file: '.repeat(layers.length);
  const refuse = (why: string): Failure =>
    new Failure(`Could not open '${layers[0]?.image.location.given}': ${depth}${why}`);
  if (process.env['DISKMORPH_REFERENCES'] === 'deny') throw refuse(`'${name}': references are denied`);
  // A backing image's format is named in QEMU's words, a parent's in ours.
  const find = backing.kind === 'backing' ? findDriver : findFormat;
  const format = backing.format === undefined ? undefined : find(backing.format);
  if (backing.format !== undefined && format === undefined) {
    throw refuse(`Unknown driver '${backing.format}'`);
  }
  try {
    return await knownImage({ ...fromName(name), ...(format === undefined ? {} : { format: format.name }) });
  } catch (error) {
    throw error instanceof Failure ? backingFailure(layers, { location: { given: name }, format }, error) : error;
  }
}
