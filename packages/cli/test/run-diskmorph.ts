import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { requireInstalledProgram } from '../../../fixtures/installed-program.ts';

/** The program as it starts in a checkout, from its sources. */
export const BIN_FROM_SOURCE: string = join(import.meta.dirname, '..', 'bin', 'diskmorph.js');

/** The program as a user has it: built and packed. */
const { diskmorph: BIN } = await requireInstalledProgram();

/** The small image that is committed. */
export const SAMPLE: string = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'sample.qcow2');

/** Takes away the system call that replaces a process, so that the program must supervise a child as on Node 20. */
export const WITHOUT_EXECVE: readonly string[] = ['--import', 'data:text/javascript,process.execve=undefined'];

/** What a finished run has to show. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** How a run is started. */
export interface Start {
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly bin?: string;
}

/** A run that is under way; all of its output is collected. */
export interface Running {
  readonly child: ChildProcess;
  /** Settles with the first piece of standard error. */
  readonly firstNote: Promise<unknown>;
  /** Settles when the run and everything that shares its output has ended. */
  readonly finished: Promise<Finished>;
}

/** Starts the program with these arguments, without a terminal and without the caller's settings. */
export function startDiskmorph(args: readonly string[], start: Start = {}): Running {
  const { NODE_OPTIONS: _options, NO_COLOR: _noColour, ...env } = process.env;
  const child = spawn(process.execPath, [...(start.nodeArgs ?? []), start.bin ?? BIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, ...start.env },
  });
  const closed = once(child, 'close');
  const collect = async (): Promise<Finished> => {
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
    return { code: child.exitCode, signal: child.signalCode, out, err };
  };
  return { child, firstNote: once(child.stderr, 'data'), finished: collect() };
}

/** Runs the program to its end. */
export function diskmorph(...args: readonly string[]): Promise<Finished> {
  return startDiskmorph(args).finished;
}

/** The result of a run with `--json`. */
export async function diskmorphJson(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { out } = await diskmorph(...args, '--json');
  return JSON.parse(out);
}
