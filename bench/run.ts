/** The command line of the benchmarks; see README.md beside this file. */
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import type { DiskFixture } from '../fixtures/disk-fixture.ts';
import { requireDiskFixture } from '../fixtures/disk-fixture.ts';
import { requirePackage, requireQemuImg } from '../fixtures/peers.ts';
import type { BenchCase } from './cases.ts';
import { selectCases, SIZE_GOAL } from './cases.ts';
import { caseTitle } from './case-title.ts';
import type { Programs } from './contenders.ts';
import type { ContenderResult } from './contest.ts';
import { runCase } from './contest.ts';
import type { MemoryFiller } from './full-memory.ts';
import { memoryFiller } from './full-memory.ts';
import { requireInstalledProgram } from '../fixtures/installed-program.ts';
import { currentLoad, describeMachine } from './machine.ts';
import { caseRows, legend, reportText, TABLE_HEAD } from './report.ts';
import type { CaseResult, RunKind, RunResult } from './result-file.ts';
import { keepResult } from './result-file.ts';
import type { Settings } from './settings.ts';
import { readSettings, USAGE } from './settings.ts';
import { sourcePath, sourcesOf, variantsFor } from './sources.ts';

const WORKSPACE = join(import.meta.dirname, '..');
const GIB = 2 ** 30;

async function main(settings: Settings): Promise<void> {
  const chosen = selectCases(settings);
  const startedAt = new Date().toISOString();
  const loadAtStart = currentLoad();
  say('building the programs as they are installed');
  const commit = await commitOfSources();
  const programs = await requirePrograms();
  say('making the images that are not there yet');
  const fixture = await requireDiskFixture({
    sizeBytes: settings.diskBytes,
    source: 'usr',
    variants: variantsFor(chosen),
  });
  for (const source of chosen.flatMap(sourcesOf)) await sourcePath(source, fixture);
  const workFolder = await mkdtemp(join(fixture.folder, '..', 'bench-'));
  removeWhenStopped(workFolder);
  const memory = await memoryFiller(workFolder);
  try {
    const machine = { ...(await describeMachine(programs, workFolder)), loadAtStart };
    const cases = await runCases(chosen, { settings, programs, fixture, workFolder, memory });
    const kind = kindOf(settings);
    const run: RunResult = { version: 1, startedAt, commit, kind, machine, disk: diskText(fixture), cases };
    await finish(run);
  } finally {
    await memory.close();
    await rm(workFolder, { recursive: true, force: true });
  }
}

async function requirePrograms(): Promise<Programs> {
  return {
    ...(await requireInstalledProgram()),
    qemuImg: await requireQemuImg(),
    node: process.execPath,
    shell: await requirePackage('bash', 'bash'),
    sha512sum: await requirePackage('sha512sum', 'coreutils'),
    cp: await requirePackage('cp', 'coreutils'),
  };
}

/** The commit of the sources, with `+` behind it where what is built from has been changed since. */
async function commitOfSources(): Promise<string> {
  const changes = await git('status', '--porcelain', '--', 'packages', 'tools', 'package-lock.json');
  return `${await git('rev-parse', '--short', 'HEAD')}${changes === '' ? '' : '+'}`;
}

async function git(...words: string[]): Promise<string> {
  return (await runCommand('git', ['-C', WORKSPACE, ...words])).trim();
}

interface Stage {
  readonly settings: Settings;
  readonly programs: Programs;
  readonly fixture: DiskFixture;
  readonly workFolder: string;
  readonly memory: MemoryFiller;
}

async function runCases(chosen: readonly BenchCase[], stage: Stage): Promise<CaseResult[]> {
  const { settings, programs, fixture, workFolder, memory } = stage;
  const results: CaseResult[] = [];
  console.log(TABLE_HEAD);
  for (const [index, benchCase] of chosen.entries()) {
    say(`${index + 1} of ${chosen.length}: ${benchCase.name}`);
    const sources = await Promise.all(sourcesOf(benchCase).map((source) => sourcePath(source, fixture)));
    const contenders = await runCase(benchCase, {
      programs,
      sources,
      workFolder,
      memory,
      pairs: settings.pairs,
      contenders: settings.quick ? 'like for like' : 'all',
    });
    const result = resultOf(benchCase, contenders);
    results.push(result);
    console.log(caseRows(result));
  }
  return results;
}

function resultOf(benchCase: BenchCase, contenders: readonly ContenderResult[]): CaseResult {
  const { name, group, goal, scaling } = benchCase;
  return {
    name,
    group,
    title: caseTitle(benchCase.task),
    ...(goal === undefined ? {} : { goal }),
    ...(benchCase.compresses === true ? { sizeGoal: SIZE_GOAL } : {}),
    ...(scaling === undefined ? {} : { scaling }),
    contenders,
  };
}

async function finish(run: RunResult): Promise<void> {
  console.log(`\n${legend(run.kind)}`);
  const path = await keepResult(run, reportText(run));
  console.log(`\nEvery figure: ${relative(process.cwd(), path)}, the table beside it.`);
}

function kindOf({ quick, only }: Settings): RunKind {
  if (quick) return 'quick';
  return only.length === 0 ? 'full' : 'part';
}

function diskText({ manifest }: DiskFixture): string {
  const { sizeBytes, allocatedBytes } = manifest;
  return `The disk: ${sizeBytes / GIB} GiB, ${(allocatedBytes / GIB).toFixed(2)} GiB of it data: files of a Debian /usr in an ext4 file system.`;
}

/** What a program had written when the run was stopped is gigabytes. */
function removeWhenStopped(workFolder: string): void {
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      rmSync(workFolder, { recursive: true, force: true });
      process.exit(exitCode);
    });
  }
}

/** Progress goes to standard error, so that standard output is the table. */
function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

try {
  const settings = readSettings(process.argv.slice(2));
  if (settings === undefined) process.stdout.write(USAGE);
  else await main(settings);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
