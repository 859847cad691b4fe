/**
 * A process of its own that runs tasks, as `diskmorph worker` does, and dies or freezes where it is told to: the arguments
 * are one JSON text of `WorkerOrder`. It prints a line of JSON when it is up and for each warning in its log.
 */
import type { RawParts } from '../src/main.ts';
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
  /**
   * When the process kills itself, or stops until it is continued: before or after the nth operation on a task, from 1; when
   * a step of that stage has begun; when its nth revert has.
   */
  readonly fate?: { readonly signal: 'SIGKILL' | 'SIGSTOP' } & (
    | { readonly operation: number }
    | { readonly stage: string }
    | { readonly revert: number }
  );
}

const order = JSON.parse(process.argv[2] ?? '') as WorkerOrder;

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

type Fate = NonNullable<WorkerOrder['fate']>;
type CountedFate = Extract<Fate, { readonly operation: number }>;

/** Counts from the first task that the process takes: how often it looks around before is a matter of time. */
function fateOf({ signal, operation }: CountedFate): Doom & { arm(): void } {
  const never = doom(Infinity, () => {});
  let count = -Infinity;
  const gate = async (): Promise<void> => {
    count += 1;
    if (count === operation) process.kill(process.pid, signal);
  };
  return {
    ...never,
    gate,
    async through(work) {
      await gate();
      const result = await work();
      await gate();
      return result;
    },
    arm() {
      if (count === -Infinity) count = 0;
    },
  };
}

/** Meets its end in a step, whenever that comes. */
function partsThatEndIn(parts: RawParts, fate: Exclude<Fate, CountedFate>): RawParts {
  const { journal } = parts;
  let reverts = 0;
  return {
    ...parts,
    journal: {
      ...journal,
      async beginStep(claim, name) {
        await journal.beginStep(claim, name);
        if ('stage' in fate && name.includes(`-${fate.stage}-`)) process.kill(process.pid, fate.signal);
      },
      async beginRevert(claim) {
        await journal.beginRevert(claim);
        if ('revert' in fate && (reverts += 1) === fate.revert) process.kill(process.pid, fate.signal);
      },
    },
  };
}

function doomedParts(parts: RawParts, fate: CountedFate): RawParts {
  const life = fateOf(fate);
  const gated = gatedParts(parts, life);
  return {
    ...gated,
    journal: {
      ...gated.journal,
      async claim(id) {
        const job = await parts.journal.claim(id);
        life.arm();
        return job;
      },
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
    const { fate } = order;
    if (fate === undefined) return faulty;
    return 'operation' in fate ? doomedParts(faulty, fate) : partsThatEndIn(faulty, fate);
  },
});
say('up');
process.once('SIGTERM', () => void worker.close());
process.once('SIGUSR1', () => {
  const finished = worker.finish();
  say('draining');
  void finished.then(() => worker.close());
});
