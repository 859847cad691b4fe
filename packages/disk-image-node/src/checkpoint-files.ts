import { open, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint, CheckpointStore, ConversionPlan } from '@diskmorph/disk-image';
import type { ImageFile } from './image-file.ts';
import { ioError } from './io-error.ts';
import { flushFile } from './flush-file.ts';

const CHECKPOINT_FILE = 'checkpoint.json';

/** A checkpoint in the work directory: one JSON file with its own digest, replaced by rename. */
export function checkpointFile(directory: string): CheckpointStore {
  const file = path.join(directory, CHECKPOINT_FILE);
  return {
    async load() {
      try {
        const [digest, text] = splitOnce(await readFile(file, 'utf8'));
        return digest === sha256(text) ? (JSON.parse(text) as Checkpoint) : undefined;
      } catch {
        return undefined;
      }
    },
    async save(checkpoint) {
      const text = JSON.stringify(checkpoint);
      try {
        await writeDurably(file, `${sha256(text)}\n${text}`);
      } catch (error) {
        throw ioError('Cannot save a checkpoint', error);
      }
    },
  };
}

/** Removes the checkpoint, and the directory when nothing of anybody else is in it. Missing means done. */
export async function removeCheckpoint(directory: string): Promise<void> {
  for (const name of [CHECKPOINT_FILE, `${CHECKPOINT_FILE}.new`]) await rm(path.join(directory, name), { force: true });
  await removeEmptyDirectory(directory);
}

/** Removes a directory unless something is in it. Missing means done. */
export async function removeEmptyDirectory(directory: string): Promise<void> {
  await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code ?? ''))
      throw ioError('Cannot remove the work directory', error);
  });
}

/**
 * Digest of everything a checkpoint depends on: the plan, and which source it was made for (its size and time of last
 * change, and which part of it). A checkpoint with another digest is not used.
 */
export async function planDigest(plan: ConversionPlan, source: ImageFile): Promise<string> {
  const { size, mtimeMs } = await stat(source.path);
  const part = [source.window ?? null, source.scattered ?? null, source.part ?? null];
  return sha256(JSON.stringify([plan, source.format, source.snapshot ?? null, size, mtimeMs, part]));
}

/** Replaces the file as a whole, on stable storage. */
export async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w');
  try {
    await handle.writeFile(text);
    await flushFile(handle.fd);
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  await syncDirectory(path.dirname(file));
}

/** Makes the names in a directory durable, where the system can. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await flushFile(handle.fd);
  } catch {
    // Some systems cannot sync a directory; the rename is then as durable as they make it.
  } finally {
    await handle.close();
  }
}

function splitOnce(text: string): readonly [string, string] {
  const at = text.indexOf('\n');
  return [text.slice(0, at), text.slice(at + 1)];
}

function sha256(text: string): string {
  return process.getBuiltinModule('node:crypto').hash('sha256', text);
}
