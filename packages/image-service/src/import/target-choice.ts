import { ImageError } from '@diskmorph/disk-image';
import { ImportError } from './errors.ts';
import { readerNamed } from './format-table.ts';
import type { ImageTools } from './image-tools.ts';

/** A format that somebody wants an image in. */
export interface WantedFormat {
  /** A disk_format, or another name of one. */
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
}

/** The name of the writer. Throws `invalid_value` for what is no format to write, and for options that it does not have. */
export function chosenWriter(tools: ImageTools, { format, options }: WantedFormat): string {
  const writer = readerNamed(format);
  if (writer === undefined) {
    throw new ImportError('invalid_value', `"${format}" is no format that images can be converted to`);
  }
  try {
    tools.checkOptions(writer, options);
  } catch (error) {
    // Whatever is wrong with options is the caller's to put right.
    throw error instanceof ImageError ? new ImportError('invalid_value', error.message) : error;
  }
  return writer;
}
