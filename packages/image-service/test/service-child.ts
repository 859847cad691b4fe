/**
 * A process of its own that runs tasks, as `diskmorph worker` does, and dies or freezes where it is told to: the arguments
 * are one JSON text of `WorkerOrder`. It prints a line of JSON when it is up and for each warning in its log.
 */
import { openWorker } from '../src/worker.ts';
import type { Doom } from './doom.ts';
import { doom } from './doom.ts';
import type { Faults } from './faults.ts';
import { faultyParts, gatedParts } from './faults.ts';

/** What the process is to do. */
export interface WorkerOrder {
  readonly configFile: string;
  readonly overrides: Readonly<Record<string, string>>;
  readonly faults?: Faults;
  /** Before or after the nth operation, from 1: the process kills itself, or stops until it is continued. */
  readonly fate?: { readonly signal: 'SIGKILL' | 'SIGSTOP'; readonly operation: number };
}

const order = JSON.parse(process.argv[2] ?? '') as WorkerOrder;

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function fateOf({ signal, operation }: NonNullable<WorkerOrder['fate']>): Doom {
  const strike = (): void => void process.kill(process.pid, signal);
  if (signal === 'SIGKILL') return doom(operation, strike);
  let count = 0;
  const gate = async (): Promise<void> => {
    count += 1;
    if (count === operation) strike();
  };
  return {
    ...doom(Infinity, () => {}),
    gate,
    async through(work) {
      await gate();
      const result = await work();
      await gate();
      return result;
    },
  };
}

const worker = await openWorker({
  configFiles: [order.configFile],
  environment: {},
  overrides: order.overrides,
  version: '0',
  log: (message, error) => say([message, error instanceof Error && 'code' in error ? error.code : null]),
  intercept(parts) {
    const faulty = faultyParts(parts, order.faults ?? {});
    return order.fate === undefined ? faulty : gatedParts(faulty, fateOf(order.fate));
  },
});
say('up');
process.once('SIGTERM', () => void worker.close());
process.once('SIGUSR1', () => {
  const finished = worker.finish();
  say('draining');
  void finished.then(() => worker.close());
});
