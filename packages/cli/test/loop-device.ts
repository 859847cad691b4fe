import { execFile } from 'node:child_process';
import { access, constants, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach } from 'vitest';

const execute = promisify(execFile);

/** Block devices over files, for tests that must see the system's own. */
export interface LoopDevices {
  /** A new device of `size` bytes over a file at `path`, full of old bytes. */
  make(path: string, size: number): Promise<string>;
}

const OLD_BYTES = new Uint8Array(2 ** 20).fill(0xaa);

/**
 * Gives the tests of the calling file loop devices and takes them away after each. A machine that has none reports each
 * test as skipped, with the reason: what they test is also tested on devices in memory, everywhere.
 */
export function useLoopDevices(): LoopDevices {
  const made: string[] = [];
  let missing: string | undefined;
  beforeAll(async () => {
    missing = await missingForLoopDevices();
  });
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(`loop devices need ${missing}`);
  });
  afterEach(async () => {
    for (const device of made.splice(0)) await execute('losetup', ['--detach', device]);
  });
  return {
    async make(path, size) {
      const file = await open(path, 'w');
      for (let at = 0; at < size; at += OLD_BYTES.length) {
        await file.write(OLD_BYTES, 0, Math.min(OLD_BYTES.length, size - at), at);
      }
      await file.close();
      const { stdout } = await execute('losetup', ['--find', '--show', path]);
      made.push(stdout.trim());
      return stdout.trim();
    },
  };
}

async function missingForLoopDevices(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'the rights of root';
  const canControl = await access('/dev/loop-control', constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!canControl) return '/dev/loop-control';
  return execute('losetup', ['--find']).then(
    () => undefined,
    () => 'the program losetup and a free loop device',
  );
}
