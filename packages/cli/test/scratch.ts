import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';
import { requireQemuImg } from '../../../fixtures/peers.ts';

/** A directory of its own for each test file, removed when its tests have run. */
export interface Scratch {
  path(name: string): string;
  /** Runs qemu-img in the directory. */
  qemuImg(...args: readonly string[]): Promise<string>;
}

/** Prepares the directory before the tests of the calling file. */
export function useScratch(): Scratch {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'diskmorph-cli-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return {
    path: (name) => join(folder, name),
    async qemuImg(...args) {
      const { stdout } = await promisify(execFile)(await requireQemuImg(), args, { cwd: folder });
      return stdout;
    },
  };
}
