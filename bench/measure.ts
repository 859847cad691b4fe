/** Runs a program and measures it as the operating system accounts for it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import { requirePackage } from '../fixtures/peers.ts';

/** What one run cost. */
export interface Cost {
  readonly wallSeconds: number;
  /** User and system time of the process and its threads; the account is kept in steps of 10 ms. */
  readonly cpuSeconds: number;
  /** The most memory that was resident at once. */
  readonly peakMebibytes: number;
}

/** The smallest, the middle and the largest of some figures. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Runs the program once. Throws an Error with its last words when it fails. */
export async function measure(program: string, programArguments: readonly string[]): Promise<Cost> {
  const time = await requirePackage('time', 'time');
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-bench-'));
  try {
    const account = join(folder, 'account');
    const started = performance.now();
    await runCommand(time, ['-f', '%U %S %M', '-o', account, program, ...programArguments]);
    const wallSeconds = (performance.now() - started) / 1000;
    const [user = 0, system = 0, peakKibibytes = 0] = (await readFile(account, 'utf8')).trim().split(' ').map(Number);
    return { wallSeconds, cpuSeconds: user + system, peakMebibytes: peakKibibytes / 1024 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Throws an Error for no figures. */
export function spreadOf(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const [min, low, high, max] = [0, Math.floor(middle), Math.ceil(middle), sorted.length - 1].map((at) => sorted[at]);
  if (min === undefined || low === undefined || high === undefined || max === undefined) {
    throw new Error('a spread needs at least one figure');
  }
  return { min, median: (low + high) / 2, max };
}
