/** One case: the programs take turns, and what they did is checked. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import type { BenchCase } from './cases.ts';
import type { Contender, Places, Programs } from './contenders.ts';
import { contendersOf } from './contenders.ts';
import type { MemoryFiller } from './full-memory.ts';
import type { Cost, MeasuredRun } from './measure.ts';
import { measure } from './measure.ts';
import { checkOutcome } from './result-checks.ts';

/** What one contender did in one case. */
export interface ContenderResult {
  readonly contender: string;
  readonly isLikeForLike: boolean;
  /** One a round; the rounds of those that are like for like are pairs. */
  readonly costs: readonly Cost[];
  /** Bytes on the disk of what it wrote. */
  readonly outputBytes: number;
}

/** Where a case finds its things. */
export interface Arena {
  readonly programs: Programs;
  /** Paths of what the case reads, in the order of `sourcesOf`. */
  readonly sources: readonly string[];
  /** Outputs are written to a folder in here, and removed. */
  readonly workFolder: string;
  readonly memory: MemoryFiller;
  /** How often each contender is measured; the pairs of a case of short runs three times as often. */
  readonly pairs: number;
  /** Whether contenders that do more than the peer take part too. */
  readonly contenders: 'all' | 'like for like';
}

const SHORT_FACTOR = 3;

/**
 * Runs the case: a warm-up of all, in which what they do is checked, then rounds in which the peer and ours run once, then
 * rounds of the others: what they leave of memory and disk is no part of the contest. Returns the contenders' results, the
 * peer's first. Throws when a program fails or its result is wrong.
 */
export async function runCase(benchCase: BenchCase, arena: Arena): Promise<readonly ContenderResult[]> {
  const contenders = contendersOf(benchCase.task, arena.programs).filter(
    ({ isLikeForLike }) => isLikeForLike || arena.contenders === 'all',
  );
  const outputBytes = await warmUp(benchCase, contenders, arena);
  const costs = new Map<Contender, Cost[]>(contenders.map((contender) => [contender, []]));
  const takeTurns = async (taking: readonly Contender[], rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      for (const contender of taking) {
        const { cost } = await runOnce(contender, arena);
        costs.get(contender)?.push(cost);
      }
    }
  };
  const inContest = contenders.filter(({ isLikeForLike }) => isLikeForLike);
  const others = contenders.filter(({ isLikeForLike }) => !isLikeForLike);
  await takeTurns(inContest, arena.pairs * (benchCase.short === true ? SHORT_FACTOR : 1));
  await takeTurns(others, arena.pairs);
  return contenders.map((contender, index) => ({
    contender: contender.name,
    isLikeForLike: contender.isLikeForLike,
    costs: costs.get(contender) ?? [],
    outputBytes: outputBytes[index] ?? 0,
  }));
}

/** One run of each that is not counted; its result is checked. Returns the sizes of the results. */
async function warmUp({ task }: BenchCase, contenders: readonly Contender[], arena: Arena): Promise<number[]> {
  const sizes: number[] = [];
  let peerOutput: string | undefined;
  for (const contender of contenders) {
    await runOnce(contender, arena, async ({ output }, places, folder) => {
      peerOutput ??= output;
      await checkOutcome({ task: contender.task ?? task, places, output, peerOutput }, arena.programs.qemuImg);
      sizes.push(await bytesIn(folder));
    });
  }
  return sizes;
}

/** Each run starts with nothing of an earlier one left to be written to the disk, and with memory full of cache. */
async function runOnce(
  contender: Contender,
  arena: Arena,
  examine?: (run: MeasuredRun, places: Places, folder: string) => Promise<void>,
): Promise<MeasuredRun> {
  const folder = join(arena.workFolder, 'output');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await runCommand('sync', []);
  await arena.memory.fill();
  const [source = '', other = ''] = arena.sources;
  const places = { source, other, target: join(folder, 'result') };
  try {
    const run = await measure(contender.commandLine(places));
    await examine?.(run, places, folder);
    return run;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).blocks * 512));
  return sizes.reduce((sum, size) => sum + size, 0);
}
