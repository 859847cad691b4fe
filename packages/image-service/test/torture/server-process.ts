import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

/** The program of this tree: its sources, unless it was built. */
export const PROGRAM: string = join(import.meta.dirname, '../../../cli/bin/diskmorph.js');

/** How to start a process of the service. */
export interface ServiceStart {
  readonly configFile: string;
  /** The words after the program's name. */
  readonly role: readonly string[];
  /** That of this tree when absent. */
  readonly program?: string;
  /** Gets all that it says. */
  readonly logFile?: string;
}

/** A process of the service. */
export interface ServiceProcess {
  /** The URL that it serves, '' for one that only works; rejects when it ends before it is ready. */
  readonly ready: Promise<string>;
  /** Its exit code, null after a signal. */
  readonly ended: Promise<number | null>;
  /** Ends it as a power cut would. */
  kill(): Promise<number | null>;
  /** Asks it to end, and waits; gives its exit code. */
  stop(): Promise<number | null>;
  /** The last lines that it said. */
  lastWords(): string;
}

/** Lines that are kept for who asks why it ended. */
const KEPT_LINES = 20;
const READY = /serving on (http:\/\/[\d.]+:\d+)|running tasks as diskmorph/;

/** Starts `diskmorph`, as it was built if it was; it is ready when it says so. */
export function startService({ configFile, role, program = PROGRAM, logFile }: ServiceStart): ServiceProcess {
  const isBuilt = existsSync(join(dirname(program), '..', 'dist'));
  const parameters = [...(isBuilt ? [] : ['--conditions=source']), program, ...role, '--config-file', configFile];
  const child = spawn(process.execPath, parameters, {
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'diskmorph-compiled') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // It outlives nobody who gives up before its end.
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const ended = once(child, 'close').then(() => {
    process.removeListener('exit', killAtExit);
    return child.exitCode;
  });
  const log = logFile === undefined ? undefined : createWriteStream(logFile);
  const lines: string[] = [];
  const { promise: ready, resolve, reject } = Promise.withResolvers<string>();
  ready.catch(() => {});
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log?.write(`${line}\n`);
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      const said = READY.exec(line);
      if (said !== null) resolve(said[1] ?? '');
    });
  }
  const lastWords = (): string => lines.join('\n');
  void ended.then(() => {
    log?.end();
    reject(new Error(`the service ended: ${lastWords()}`));
  });
  const end = (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  return { ready, ended, lastWords, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}
