import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { requireInstalledProgram } from '../../../fixtures/installed-program.ts';
import { requireQemuImg } from '../../../fixtures/peers.ts';

/** The drop-in as callers have it: built and packed. */
export const QEMU_IMG_BIN: string = (await requireInstalledProgram()).dropIn;

/** What a finished run has to show. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program in a folder to its end, in UTC and the C locale. */
export async function run(
  program: string,
  args: readonly string[],
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const { NODE_OPTIONS: _options, ...inherited } = process.env;
  const child = spawn(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, TZ: 'UTC', LC_ALL: 'C', ...env },
  });
  const closed = once(child, 'close');
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code: child.exitCode, out, err };
}

/** Runs ours. */
export function ours(folder: string, ...args: readonly string[]): Promise<Ended> {
  return run(QEMU_IMG_BIN, args, folder);
}

/** Runs QEMU's. */
export async function theirs(folder: string, ...args: readonly string[]): Promise<Ended> {
  return run(await requireQemuImg(), args, folder);
}

/** What depends on the file system or on the moment is left out of comparisons. */
export function comparable(ended: Ended): Ended {
  const out = ended.out
    .replaceAll(/"actual-size": \d+/g, '"actual-size": N')
    .replaceAll(/^disk size: .*$/gm, 'disk size: N');
  return { ...ended, out };
}
