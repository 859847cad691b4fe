import path from 'node:path';
import type { InspectOptions, Verdict } from '@diskmorph/disk-image';
import { formats, inspect } from '@diskmorph/disk-image';
import type { ImagePlace } from './image-place.ts';
import { openPlace } from './image-place.ts';
import { nodeCodecs } from './native-codecs.ts';

/** What a caller may say about the file, and how far an inspection may go. */
export type FileInspection = Pick<InspectOptions, 'declared' | 'limits' | 'signal'> &
  Omit<ImagePlace, 'path'> & {
    /** The name to judge by instead of the file's own. */
    readonly fileName?: string;
  };

/** What the file at `filePath` is and whether it may be processed. Opens no other file; throws only `io` and `aborted`. */
export async function inspectFile(filePath: string, options: FileInspection = {}): Promise<Verdict> {
  const { window, scattered, fileName = path.basename(filePath), ...rest } = options;
  const place = {
    path: filePath,
    ...(window === undefined ? {} : { window }),
    ...(scattered === undefined ? {} : { scattered }),
  };
  const source = await openPlace(place);
  try {
    return await inspect(source, { ...rest, codecs: nodeCodecs(), formats, fileName });
  } finally {
    await source.close();
  }
}
