/** One case: the programs take turns, and the results are compared. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import type { BenchCase } from './cases.ts';
import type { Cost } from './measure.ts';
import { measure } from './measure.ts';

/** A program with the arguments that convert `source` to `target`. */
interface Contender {
  readonly name: string;
  readonly program: string;
  readonly programArguments: (source: string, target: string) => readonly string[];
}

/** What one contender did in one case. */
export interface ContenderResult {
  readonly contender: string;
  readonly costs: Cost[];
  /** Bytes on the disk of what it wrote. */
  outputBytes: number;
}

/** A case with the figures of each contender; the first is the peer. */
export interface CaseResult {
  readonly name: string;
  readonly results: readonly ContenderResult[];
}

/** Where a case finds its things. */
export interface Arena {
  readonly qemuImg: string;
  readonly source: string;
  /** Outputs are written to a folder in here, and removed. */
  readonly workFolder: string;
  readonly rounds: number;
  /** Worker threads for diskmorph; its own choice when absent. */
  readonly workers?: number;
}

const DISKMORPH = join(import.meta.dirname, '..', 'packages', 'cli', 'bin', 'diskmorph.js');

/**
 * Runs the case: a warm-up by the peer, then in each round every contender once. In the first round each result is
 * compared with the source by the peer. Throws when a program fails or a result differs.
 */
export async function runCase(benchCase: BenchCase, arena: Arena): Promise<CaseResult> {
  const contenders = contendersOf(benchCase, arena);
  const peer = contenders[0];
  if (peer !== undefined) await runOnce(peer, arena, async () => {});
  const results: ContenderResult[] = contenders.map(({ name }) => ({ contender: name, costs: [], outputBytes: 0 }));
  for (let round = 0; round < arena.rounds; round += 1) {
    for (const [index, contender] of contenders.entries()) {
      const result = results[index];
      const cost = await runOnce(contender, arena, async (target, folder) => {
        if (round > 0 || result === undefined) return;
        result.outputBytes = await bytesIn(folder);
        await compare(benchCase, arena, target);
      });
      result?.costs.push(cost);
    }
  }
  return { name: benchCase.name, results };
}

function contendersOf(benchCase: BenchCase, arena: Arena): Contender[] {
  const { sourceFormat, targetFormat, peerOptions, ourOptions } = benchCase;
  const formats = ['-f', sourceFormat, '-O', targetFormat];
  const workers = arena.workers === undefined ? [] : ['--workers', String(arena.workers)];
  const ours = (name: string, extra: readonly string[]): Contender => ({
    name,
    program: process.execPath,
    programArguments: (source, target) =>
      [DISKMORPH, 'convert', ...formats, ...ourOptions, ...workers, ...extra].concat(source, target),
  });
  const peer: Contender = {
    name: 'qemu-img',
    program: arena.qemuImg,
    programArguments: (source, target) => ['convert', ...formats, ...peerOptions, source, target],
  };
  return [peer, ours('diskmorph, copy only', ['--no-verify', '--no-digest']), ours('diskmorph, verified', [])];
}

/** Each run starts with nothing of an earlier one left to be written to the disk. */
async function runOnce(
  contender: Contender,
  arena: Arena,
  examine: (target: string, folder: string) => Promise<void>,
): Promise<Cost> {
  const folder = join(arena.workFolder, 'output');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await runCommand('sync', []);
  try {
    const target = join(folder, 'result');
    const cost = await measure(contender.program, contender.programArguments(arena.source, target));
    await examine(target, folder);
    return cost;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(benchCase: BenchCase, arena: Arena, target: string): Promise<void> {
  const { sourceFormat, targetFormat } = benchCase;
  await runCommand(arena.qemuImg, ['compare', '-f', sourceFormat, '-F', targetFormat, arena.source, target]);
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).blocks * 512));
  return sizes.reduce((sum, size) => sum + size, 0);
}
