import type { ImageFile } from '@diskmorph/disk-image-node';
import { detectFormat, requireFormat } from '@diskmorph/disk-image-node';
import { givenReferences } from './arguments/shared-options.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';

/** An image file of the command line, and how its format is known. */
export interface SourceImage {
  readonly file: ImageFile;
  /** True when nobody named the format, so that the output must. */
  readonly detected: boolean;
}

/** The image at `path` in the format that was given, else in the one whose signature it bears. */
export async function sourceImage(
  path: string,
  given: GivenArguments,
  formatOption: string = 'format',
): Promise<SourceImage> {
  const named = given.text(formatOption);
  const format = named === undefined ? await detectFormat(path) : requireFormat(named);
  const snapshot = given.text('snapshot');
  const file: ImageFile = {
    path,
    format: format.name,
    references: givenReferences(given),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
  return { file, detected: named === undefined };
}

/** The format for people: `qcow2, detected`, or just `qcow2` when it was given. */
export function formatText(source: SourceImage, subformat?: string): string {
  const notes = [...(subformat === undefined ? [] : [subformat]), ...(source.detected ? ['detected'] : [])];
  return [source.file.format, ...notes].join(', ');
}
