import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncDirectory, writeBytes } from '../files/written-file.ts';
import { StagingError, stagingFault } from './errors.ts';
import { gatheredBytes } from './gathered.ts';

/** Bytes that can be read from any offset on, as often as need be. */
export interface LastingSource {
  /** Tells these bytes from all others: what came of another source is not gone on with. */
  readonly identity: string;
  readonly sizeBytes: number;
  /** The bytes from the offset to the end. */
  from(offset: number): AsyncIterable<Uint8Array>;
}

/** How the bytes of a lasting source are received. */
export interface ResumedWork {
  /** Says how many bytes will be written; may refuse them. */
  readonly expect: (bytes: number) => Promise<void>;
  readonly onBytes?: (done: number, total: number) => void;
}

/** So many bytes are written between two notes of how far it is. */
const NOTE_BYTES = 64 * 2 ** 20;

/** The directory that holds a file and how far it is, until it is whole. */
export function comingPath(path: string): string {
  return `${path}.coming`;
}

interface Note {
  readonly identity: string;
  /** These are on the disk. */
  readonly doneBytes: number;
}

/**
 * Receives the source into the file at `path`, which appears under that name only when it is whole and on the disk. What
 * an earlier try has brought to the disk is not read again; what has come stays when it fails. Throws what the bytes throw,
 * `cut_off` for other bytes than announced, `insufficient_space`, `io`.
 */
export async function receiveResumed(
  path: string,
  source: LastingSource,
  { expect, onBytes }: ResumedWork,
): Promise<{ readonly sizeBytes: number }> {
  const { sizeBytes } = source;
  // An earlier try ended just after its last step.
  if ((await sizeOf(path)) === sizeBytes) return { sizeBytes };
  const directory = comingPath(path);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const begun = await doneBefore(directory, source);
    await expect(sizeBytes - begun);
    if (begun === 0) await rm(join(directory, NOTE), { force: true });
    const file = await open(join(directory, DATA), begun === 0 ? 'w' : 'r+', 0o600);
    try {
      await file.truncate(begun);
      const coming = gatheredBytes(source.from(begun));
      const noted = notedBytes(coming, { file, directory, identity: source.identity, begun }, (done) =>
        onBytes?.(done, sizeBytes),
      );
      const written = await writeBytes(file, noted, begun);
      if (written !== sizeBytes) throw new StagingError('cut_off', `${written} bytes arrived instead of ${sizeBytes}`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(join(directory, DATA), path);
    await syncDirectory(dirname(path));
    await rm(directory, { recursive: true, force: true });
    return { sizeBytes };
  } catch (error) {
    throw stagingFault('The bytes could not be kept', error);
  }
}

const DATA = 'data';
const NOTE = 'note.json';

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** The bytes that need not come again; 0 when nothing fits. */
async function doneBefore(directory: string, { identity, sizeBytes }: LastingSource): Promise<number> {
  try {
    const note = JSON.parse(await readFile(join(directory, NOTE), 'utf8')) as Note;
    const there = (await sizeOf(join(directory, DATA))) ?? 0;
    const fits = note.identity === identity && note.doneBytes <= sizeBytes && note.doneBytes <= there;
    return fits ? note.doneBytes : 0;
  } catch {
    return 0;
  }
}

interface NotedFile extends Pick<Note, 'identity'> {
  readonly file: FileHandle;
  readonly directory: string;
  readonly begun: number;
}

/** Lets bytes pass that are written before the next ones are asked for; notes now and then how many are on the disk. */
async function* notedBytes(
  bytes: AsyncIterable<Uint8Array>,
  { file, directory, identity, begun }: NotedFile,
  onBytes: (done: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = begun;
  let noted = begun;
  for await (const piece of bytes) {
    yield piece;
    done += piece.length;
    onBytes(done);
    if (done - noted < NOTE_BYTES) continue;
    // What ends in a hole is shorter until then.
    await file.truncate(done);
    await file.datasync();
    await writeNote(directory, { identity, doneBytes: done });
    noted = done;
  }
}

/** By a rename: a note is there whole or not. */
async function writeNote(directory: string, note: Note): Promise<void> {
  const path = join(directory, NOTE);
  await writeFile(`${path}.new`, JSON.stringify(note));
  await rename(`${path}.new`, path);
}
