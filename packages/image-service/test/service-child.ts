/**
 * A process of its own that runs tasks, as `diskmorph worker` does, and dies where it is told to: the arguments are one
 * JSON text of `WorkerOrder`. It prints a line when it is up, and one for each phase of a task that it sees.
 */
import { openWorker } from '../src/worker.ts';
import type { Faults } from './faults.ts';
import { faultyParts, gatedParts } from './faults.ts';
import { doom } from './doom.ts';

/** What the process is to do. */
export interface WorkerOrder {
  readonly configFile: string;
  readonly overrides: Readonly<Record<string, string>>;
  readonly faults: Faults;
  /** Dies before or after this operation, from 1. */
  readonly dieAt?: number;
}

const order = JSON.parse(process.argv[2] ?? '') as WorkerOrder;
const { dieAt } = order;
const worker = await openWorker({
  configFiles: [order.configFile],
  environment: {},
  overrides: order.overrides,
  version: '0',
  intercept(parts) {
    const faulty = faultyParts(parts, order.faults);
    return dieAt === undefined
      ? faulty
      : gatedParts(
          faulty,
          doom(dieAt, () => process.kill(process.pid, 'SIGKILL')),
        );
  },
  onProgress: ({ taskId, progress }) => process.stdout.write(`${JSON.stringify([taskId, progress.phase])}\n`),
});
process.stdout.write('"up"\n');
process.once('SIGTERM', () => void worker.close());
process.once('SIGUSR1', () => void worker.finish().then(() => worker.close()));
