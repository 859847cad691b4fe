/** Runs a program and measures it as the operating system accounts for it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import { requirePackage } from '../fixtures/peers.ts';

/** What one run cost. Times are kept in steps of 1 ms. */
export interface Cost {
  readonly wallSeconds: number;
  /** User and system time of the process, its threads and the processes that it waited for. */
  readonly cpuSeconds: number;
  /** The most memory that was resident at once in one process. */
  readonly peakMebibytes: number;
}

/** A run with what the program printed to standard output. */
export interface MeasuredRun {
  readonly cost: Cost;
  readonly output: string;
}

/** A command line. */
export interface CommandLine {
  readonly program: string;
  readonly programArguments: readonly string[];
}

/** bash's own `time` knows milliseconds where GNU time prints hundredths; the peak of memory is known to GNU time only. */
const TIMED = 'TIMEFORMAT="%3R %3U %3S"; { time "$@" 2>&3; } 3>&2 2>"$0"';

/** Runs the program once. Throws an Error with its last words when it fails. */
export async function measure({ program, programArguments }: CommandLine): Promise<MeasuredRun> {
  const [bash, time] = [await requirePackage('bash', 'bash'), await requirePackage('time', 'time')];
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-bench-'));
  const [times, peak] = [join(folder, 'times'), join(folder, 'peak')];
  try {
    const output = await runCommand(
      bash,
      ['-c', TIMED, times, time, '-q', '-f', '%M', '-o', peak, program].concat(programArguments),
    );
    const [wallSeconds = 0, user = 0, system = 0] = await numbersIn(times);
    const [peakKibibytes = 0] = await numbersIn(peak);
    return { cost: { wallSeconds, cpuSeconds: user + system, peakMebibytes: peakKibibytes / 1024 }, output };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function numbersIn(path: string): Promise<number[]> {
  return (await readFile(path, 'utf8')).trim().split(/\s+/).map(Number);
}
