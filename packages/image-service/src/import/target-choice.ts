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
  asCallersFault(() => tools.checkOptions(writer, options));
  return writer;
}

/** Bytes that any result has at least; 0 where the size of the disk is not known. Throws `invalid_value` for a disk too large. */
export function leastBytes(tools: ImageTools, target: WantedFormat, virtualSize: number | null): number {
  return virtualSize === null ? 0 : asCallersFault(() => tools.leastBytes(target, virtualSize));
}

/** Whatever is wrong with options is the caller's to put right. */
function asCallersFault<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof ImageError ? new ImportError('invalid_value', error.message) : error;
  }
}
