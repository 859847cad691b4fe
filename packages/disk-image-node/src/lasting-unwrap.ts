import { createHash } from 'node:crypto';
import { open, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { removeEmptyDirectory, writeDurably } from './checkpoint-files.ts';
import { ioError } from './io-error.ts';
import { placeOf } from './image-place.ts';
import { lastingUnpackDirectory } from './unpack-directory.ts';
import type { UnwrappedImage, UnwrapRequest } from './unwrap-image.ts';
import { unwrapAll } from './unwrap-image.ts';
import { flushFile } from './flush-file.ts';

const DIRECTORY = 'diskmorph-unpacked';
const RECORD = 'unwrapped.json';

/** What is kept in the directory about what was unpacked there. */
interface Kept extends Omit<UnwrappedImage, 'cleanup'> {
  /** Digest of what was asked for: the container in its state, and the entry. */
  readonly wanted: string;
}

/**
 * `unwrapImage` for work that is taken up again after a kill: what was unpacked lies in `request.directory`, and a later
 * call for the same file in the same state finds it there when it was whole, else begins anew. `cleanup` removes it, and
 * the directory when nothing else is in it.
 */
export async function unwrapLastingly(
  filePath: string,
  request: UnwrapRequest & { readonly directory: string },
): Promise<UnwrappedImage> {
  const directory = path.join(request.directory, DIRECTORY);
  const cleanup = (): Promise<void> => removeAll(directory, request.directory);
  const wanted = await digestOfWanted(filePath, request);
  const kept = await loadKept(directory, wanted);
  if (kept !== undefined) return { ...kept, cleanup };
  try {
    await rm(directory, { recursive: true, force: true });
    const work = lastingUnpackDirectory(directory);
    const unwrapped = await unwrapAll(filePath, request, work);
    if (work.isUsed()) await keep(directory, { ...unwrapped, wanted });
    return { ...unwrapped, cleanup };
  } catch (error) {
    await cleanup();
    throw error;
  }
}

async function digestOfWanted(filePath: string, { entry }: UnwrapRequest): Promise<string> {
  const { size, mtimeMs } = await stat(filePath).catch((error: unknown) => {
    throw ioError(`Cannot open ${filePath}`, error);
  });
  const wanted = JSON.stringify([path.resolve(filePath), size, mtimeMs, entry ?? null]);
  return createHash('sha256').update(wanted).digest('hex');
}

async function keep(directory: string, kept: Kept): Promise<void> {
  const { file, wrappers, innerName, wanted } = kept;
  const name = innerName === undefined ? {} : { innerName };
  try {
    await flush(file.path);
    const { size, mtimeMs } = await stat(file.path);
    const record = { file: placeOf(file), wrappers, ...name, wanted, size, mtimeMs };
    await writeDurably(path.join(directory, RECORD), JSON.stringify(record));
  } catch (error) {
    throw ioError('Cannot keep what was unpacked', error);
  }
}

async function flush(filePath: string): Promise<void> {
  const handle = await open(filePath, 'r+');
  try {
    await flushFile(handle.fd);
  } finally {
    await handle.close();
  }
}

/** What was kept, if it is what is wanted and its file is as it was. A record is replaced as a whole, so it can be believed. */
async function loadKept(directory: string, wanted: string): Promise<Omit<UnwrappedImage, 'cleanup'> | undefined> {
  try {
    const record = JSON.parse(await readFile(path.join(directory, RECORD), 'utf8')) as Kept & {
      readonly size: number;
      readonly mtimeMs: number;
    };
    const { size, mtimeMs } = await stat(record.file.path);
    if (record.wanted !== wanted || size !== record.size || mtimeMs !== record.mtimeMs) return undefined;
    const { file, wrappers, innerName } = record;
    return { file, wrappers, ...(innerName === undefined ? {} : { innerName }) };
  } catch {
    return undefined;
  }
}

async function removeAll(directory: string, parent: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await removeEmptyDirectory(parent);
}
