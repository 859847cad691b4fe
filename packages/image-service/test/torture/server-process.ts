import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PROGRAM = join(import.meta.dirname, '../../../cli/bin/diskmorph.js');

/** A process of the service. */
export interface ServiceProcess {
  /** The URL that it serves; rejects when it ends before it serves. */
  readonly serving: Promise<string>;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** Asks it to end, and waits; gives its exit code. */
  stop(): Promise<number | null>;
}

/** Lines that are kept for who asks why it ended. */
const KEPT_LINES = 20;

/** Starts `diskmorph` with these arguments; it serves when it says so. All that it says goes into `logFile`. */
export function startService(configFile: string, role: readonly string[], logFile?: string): ServiceProcess {
  const child = spawn(process.execPath, ['--conditions=source', PROGRAM, ...role, '--config-file', configFile], {
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'diskmorph-compiled') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const log = logFile === undefined ? undefined : createWriteStream(logFile);
  const lines: string[] = [];
  const { promise: serving, resolve, reject } = Promise.withResolvers<string>();
  serving.catch(() => {});
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log?.write(`${line}\n`);
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      const url = /serving on (http:\/\/[\d.]+:\d+)/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
  }
  void ended.then(() => {
    log?.end();
    reject(new Error(`the service ended: ${lines.join('\n')}`));
  });
  return { serving, kill: () => killed(child, ended), stop: () => stopped(child, ended) };
}

async function killed(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL');
  await ended;
}

async function stopped(child: ChildProcess, ended: Promise<unknown>): Promise<number | null> {
  child.kill('SIGTERM');
  await ended;
  return child.exitCode;
}
