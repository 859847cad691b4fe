/**
 * Files made to harm their reader: every command must answer with a verdict or a stable error code, within bounds of memory
 * and CPU time, and must leave nothing behind and open nothing else. What is measured is what the kernel counted.
 */
import { spawn } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireInstalledProgram } from '../../../fixtures/installed-program.ts';
import { requirePackage } from '../../../fixtures/peers.ts';
import { hostileContainers } from './hostile/container-files.ts';
import { hostileDisks } from './hostile/hostile-disks.ts';
import type { HostileFile } from './hostile/hostile-file.ts';
import { writeSparse } from './hostile/sparse-file.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
const programs = await requireInstalledProgram();

const MAX_CPU_SECONDS = 5;
const MAX_PEAK_BYTES = 512 * 2 ** 20;
/** Far above the bound, so that a command that breaks it is measured and not only ended. */
const KILL_AFTER_CPU_SECONDS = 30;

/** Every code that `docs/cli.md` has for these commands, but `internal`. */
const CODES = new Set([0, 2, 3, 10, 11, 12, 13, 14, 16]);
/** What the drop-in may end with; 63: the format has no check. */
const DROP_IN_CODES = new Set([0, 1, 2, 3, 63]);
const STACK = /^ {4}at |node:internal|[A-Z][a-zA-Z]*Error:/m;

interface Ended {
  readonly code: number | null;
  readonly signal: number | null;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly out: string;
  readonly err: string;
}

let run: (args: readonly string[]) => Promise<Ended>;
let stop: () => void;

beforeAll(async () => {
  await mkdir(scratch.path('here'));
  const python = await requirePackage('python3', 'python3-minimal');
  const script = join(import.meta.dirname, 'hostile', 'measured-run.py');
  const { NODE_OPTIONS: _options, ...env } = process.env;
  const child = spawn(python, [script, scratch.path('here'), String(KILL_AFTER_CPU_SECONDS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...env, TMPDIR: scratch.path('here') },
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  run = async (args) => {
    child.stdin.write(`${JSON.stringify(args)}\n`);
    const answer = await answers.next();
    if (answer.done === true) throw new Error('the measuring program has ended');
    return JSON.parse(answer.value) as Ended;
  };
  stop = () => child.stdin.end();
});
afterAll(() => stop());

const diskmorph = (...args: readonly string[]): readonly string[] => [process.execPath, programs.diskmorph, ...args];
const dropIn = (...args: readonly string[]): readonly string[] => [programs.dropIn, ...args];

interface Tried {
  readonly command: readonly string[];
  readonly codes: ReadonlySet<number>;
}

function triedOn({ driver }: HostileFile): readonly Tried[] {
  const ours = [diskmorph('inspect', 'image'), diskmorph('convert', '-O', 'qcow2', 'image', 'out')];
  const theirs =
    driver === undefined
      ? []
      : [
          dropIn('info', '-f', driver, 'image'),
          dropIn('check', '-f', driver, 'image'),
          dropIn('map', '-f', driver, '--output=json', 'image'),
          dropIn('measure', '-f', driver, '-O', 'qcow2', 'image'),
        ];
  return [
    ...ours.map((command) => ({ command, codes: CODES })),
    ...theirs.map((command) => ({ command, codes: DROP_IN_CODES })),
  ];
}

/** Runs the command in the folder of the image and clears what it was asked to write. Gives every bound that it broke. */
async function faultsOfRun({ command, codes }: Tried): Promise<readonly string[]> {
  const { code, signal, cpuSeconds, peakBytes, err } = await run(command);
  const left = (await readdir(scratch.path('here'))).filter((file) => file !== 'image');
  await Promise.all(left.map((file) => rm(scratch.path(`here/${file}`), { recursive: true })));
  const wanted = command.includes('convert') && code === 0 ? 'out' : '';
  const faults = [
    code === null || !codes.has(code) ? `ends with ${code ?? `signal ${signal}`}: ${err}` : '',
    STACK.test(err) ? `shows a stack: ${err}` : '',
    cpuSeconds > MAX_CPU_SECONDS ? `takes ${cpuSeconds} s of CPU time` : '',
    peakBytes > MAX_PEAK_BYTES ? `takes ${peakBytes} bytes of memory` : '',
    left.join() === wanted ? '' : `leaves ${left.join()}`,
  ];
  return faults.filter((fault) => fault !== '').map((fault) => `${command.slice(1).join(' ')} ${fault}`);
}

async function faultsOf(hostile: HostileFile): Promise<readonly string[]> {
  await writeSparse(scratch.path('here/image'), hostile.file);
  const faults: string[] = [];
  for (const tried of triedOn(hostile)) faults.push(...(await faultsOfRun(tried)));
  return faults.map((fault) => `${hostile.name}: ${fault}`);
}

const disks = hostileDisks();
const TIME_LIMIT = { timeout: 600_000 };

test.each(disks)('$name', TIME_LIMIT, async (hostile) => {
  expect(await faultsOf(hostile)).toEqual([]);
});

describe('containers', () => {
  test('of every kind', { timeout: 1_800_000 }, async () => {
    for (const hostile of await hostileContainers()) expect(await faultsOf(hostile)).toEqual([]);
  });
});

describe('a file that an image names is not opened', () => {
  const naming = disks.filter(({ namesCanary }) => namesCanary === true);

  test.each(naming)('$name', TIME_LIMIT, async (hostile) => {
    const strace = await requirePackage('strace', 'strace');
    await writeSparse(scratch.path('here/image'), hostile.file);
    await writeFile(scratch.path('here/canary'), 'sings');
    const commands = [
      diskmorph('inspect', 'image'),
      diskmorph('info', 'image'),
      diskmorph('check', 'image'),
      diskmorph('convert', '-O', 'raw', 'image', 'out'),
      // As QEMU's own, the drop-in opens the extents that a descriptor names.
      ...(hostile.driver === 'vmdk' ? [] : [dropIn('info', '-f', hostile.driver ?? 'raw', 'image')]),
    ];
    for (const command of commands) {
      const traced = [strace, '-f', '-qq', '-e', 'trace=open,openat,openat2', '-e', 'signal=none', ...command];
      const { err } = await run(traced);
      expect(err).toContain('"image"');
      expect(err.split('\n').filter((line) => /\bopen(?:at2?)?\(.*canary/.test(line))).toEqual([]);
    }
    await rm(scratch.path('here/canary'));
    expect(await readdir(scratch.path('here'))).toEqual(['image']);
  });
});
