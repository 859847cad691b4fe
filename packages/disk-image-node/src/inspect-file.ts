import path from 'node:path';
import type { InspectOptions, Verdict } from '@diskmorph/disk-image';
import { formats, inspect } from '@diskmorph/disk-image';
import { openFileSource } from './file-source.ts';
import { nodeCodecs } from './native-codecs.ts';

/** What a caller may say about the file, and how far an inspection may go. */
export type FileInspection = Pick<InspectOptions, 'declared' | 'limits' | 'signal'>;

/** What the file at `filePath` is and whether it may be processed. Opens no other file; throws only `io` and `aborted`. */
export async function inspectFile(filePath: string, options: FileInspection = {}): Promise<Verdict> {
  const source = await openFileSource(filePath);
  try {
    return await inspect(source, { ...options, codecs: nodeCodecs(), formats, fileName: path.basename(filePath) });
  } finally {
    await source.close();
  }
}
