import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { WorkerOrder } from './service-child.ts';

/** A worker that is a process of its own. */
export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Every line that it has printed, as text. */
  readonly lines: readonly string[];
  /** Returns when it has printed a line that the pattern fits. */
  said(pattern: RegExp): Promise<void>;
  /** Sends the signal and returns when the process has ended, with its exit code or the signal that it died of. */
  end(signal: NodeJS.Signals): Promise<number | string | null>;
  /** The end that it comes to by itself. */
  readonly ended: Promise<number | string | null>;
}

/** Starts a worker and returns when it is up. */
export async function startWorker(order: WorkerOrder): Promise<WorkerProcess> {
  const program = join(import.meta.dirname, 'service-child.ts');
  const child = spawn(process.execPath, ['--conditions=source', program, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    for (const listener of listeners) listener();
  });
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string | null);
  const said = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!lines.some((line) => pattern.test(line))) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
      void ended.then((how) => reject(new Error(`the worker ended with ${how}:\n${lines.join('\n')}`)));
    });
  await said(/^"up"$/);
  return {
    child,
    lines,
    said,
    ended,
    end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}
