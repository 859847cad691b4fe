import { stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { UsageError } from './arguments/command.ts';
import { EXIT_BY_ERROR_CODE } from './exit-code.ts';
import { ToldError } from './failure.ts';

/**
 * Refuses a target that is the source, is no plain file, exists without `--force`, or whose directory is not there: before
 * any work is done. Throws `UsageError` or `io`.
 */
export async function checkTargetPath(source: string, target: string, mayReplace: boolean): Promise<void> {
  const there = await found(target);
  if (there === undefined) {
    const folder = path.dirname(target);
    if ((await found(folder))?.isDirectory() === true) return;
    throw refused(`There is no directory ${folder} to write into`, 'create it first, or check the path');
  }
  const from = await found(source);
  if (from !== undefined && from.dev === there.dev && from.ino === there.ino) {
    throw new UsageError(`SRC and DST are the same file: ${source}`);
  }
  if (there.isDirectory()) throw refused(`${target} is a directory`, 'name the file to write');
  if (!there.isFile()) throw refused(`${target} is not a plain file`, 'convert into a file, then copy it there');
  if (!mayReplace) throw refused(`${target} exists already`, '--force replaces it, after the new image is verified');
}

async function found(file: string): Promise<Stats | undefined> {
  return stat(file).catch(() => undefined);
}

function refused(message: string, advice: string): ToldError {
  return new ToldError({ code: 'io', message, advice, exitCode: EXIT_BY_ERROR_CODE.io });
}
