import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The program as it was. */
export interface EarlierProgram {
  /** The path of `diskmorph.js`. */
  readonly program: string;
  remove(): Promise<void>;
}

async function git(...words: string[]): Promise<void> {
  await run('git', words, { cwd: import.meta.dirname });
}

/** Checks out a revision beside this tree, with the packages that it needs, and builds it. */
export async function checkOutProgram(revision: string): Promise<EarlierProgram> {
  const dir = await mkdtemp(join(tmpdir(), 'diskmorph-earlier-'));
  const tree = join(dir, 'tree');
  const remove = async (): Promise<void> => {
    await git('worktree', 'remove', '--force', tree).catch(() => {});
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await git('worktree', 'add', '--detach', tree, revision);
    await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: tree });
    await run('npm', ['run', 'build'], { cwd: tree });
    return { program: join(tree, 'packages', 'cli', 'bin', 'diskmorph.js'), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
