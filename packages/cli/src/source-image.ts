import type { ImageFile, ImagePlace } from '@diskmorph/disk-image-node';
import { detectFormat, requireFormat } from '@diskmorph/disk-image-node';
import { givenReferences } from './arguments/shared-options.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';

/** An image file of the command line, and how its format is known. */
export interface SourceImage {
  readonly file: ImageFile;
  /** True when nobody named the format, so that the output must. */
  readonly detected: boolean;
  /** What it was taken out of. */
  readonly packed?: PackedIn;
}

/** The file that the user named, its containers from the innermost, the image's name in them. */
export interface PackedIn {
  readonly path: string;
  readonly wrappers: readonly string[];
  readonly name?: string;
}

/** What `--json` says of an image: the file that the user named, how it was read, what it was taken out of. */
export interface SourceFacts {
  readonly file: string;
  readonly format: string;
  /** True when nobody named the format. */
  readonly detected: boolean;
  readonly packed?: PackedIn;
}

/** The facts of an image for `--json`. */
export function sourceFacts(source: SourceImage): SourceFacts {
  const { file, detected, packed } = source;
  return { file: givenPath(source), format: file.format, detected, ...(packed === undefined ? {} : { packed }) };
}

/** The image at `path` in the format that was given, else in the one whose signature it bears. */
export async function sourceImage(
  path: string,
  given: GivenArguments,
  formatOption: string = 'format',
): Promise<SourceImage> {
  return imageAt({ path }, given, formatOption);
}

/** The same for an image that is a part of a file, or was unpacked into one. */
export async function imageAt(
  place: ImagePlace,
  given: GivenArguments,
  formatOption: string = 'format',
): Promise<SourceImage> {
  const named = given.text(formatOption);
  const format = named === undefined ? await detectFormat(place) : requireFormat(named);
  const snapshot = given.text('snapshot');
  const file: ImageFile = {
    ...place,
    format: format.name,
    references: givenReferences(given),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
  return { file, detected: named === undefined };
}

/** The format for people: `qcow2, detected`, or just `qcow2` when it was given. */
export function formatText(source: SourceImage, subformat?: string): string {
  const notes = [...(subformat === undefined ? [] : [subformat]), ...(source.detected ? ['detected'] : [])];
  const packed = source.packed === undefined ? [] : [`in ${source.packed.wrappers.join(' in ')}`];
  return [source.file.format, ...notes, ...packed].join(', ');
}

/** The file that the user named. */
export function givenPath(source: SourceImage): string {
  return source.packed?.path ?? source.file.path;
}
