import path from 'node:path';
import type { InspectOptions, Verdict } from '@diskmorph/disk-image';
import { formats, inspect } from '@diskmorph/disk-image';
import { openFileSource } from './file-source.ts';
import type { ImageFile } from './image-file.ts';
import { nodeCodecs } from './native-codecs.ts';
import { windowSource } from './window-source.ts';

/** What a caller may say about the file, and how far an inspection may go. */
export type FileInspection = Pick<InspectOptions, 'declared' | 'limits' | 'signal'> & {
  /** Only these bytes of the file are looked at. */
  readonly window?: ImageFile['window'];
  /** The name to judge by instead of the file's own. */
  readonly fileName?: string;
};

/** What the file at `filePath` is and whether it may be processed. Opens no other file; throws only `io` and `aborted`. */
export async function inspectFile(filePath: string, options: FileInspection = {}): Promise<Verdict> {
  const { window, fileName = path.basename(filePath), ...rest } = options;
  const file = await openFileSource(filePath);
  try {
    const source = window === undefined ? file : windowSource(file, window);
    return await inspect(source, { ...rest, codecs: nodeCodecs(), formats, fileName });
  } finally {
    await file.close();
  }
}
