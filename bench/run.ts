/** The command line of the benchmarks; see README.md beside this file. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { requireDiskFixture } from '../fixtures/disk-fixture.ts';
import type { DiskFixture } from '../fixtures/disk-fixture.ts';
import { runCommand } from '../fixtures/command.ts';
import { requireQemuImg } from '../fixtures/peers.ts';
import { selectCases, SPARSE_SOURCE } from './cases.ts';
import type { BenchCase } from './cases.ts';
import type { CaseResult } from './contest.ts';
import { runCase } from './contest.ts';
import { TABLE_HEAD, tableRows } from './report.ts';
import { requireSparseDisk } from './sparse-disk.ts';

const RESULTS = join(import.meta.dirname, 'results');
const GIB = 2 ** 30;

interface Settings {
  readonly names: readonly string[];
  readonly rounds: number;
  readonly sizeGib: number;
  readonly workers?: number;
}

function readSettings(): Settings {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      'size-gib': { type: 'string', default: '4' },
      workers: { type: 'string' },
    },
  });
  return {
    names: positionals,
    rounds: positiveInteger('--rounds', values.rounds),
    sizeGib: positiveInteger('--size-gib', values['size-gib']),
    ...(values.workers === undefined ? {} : { workers: positiveInteger('--workers', values.workers) }),
  };
}

function positiveInteger(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`${name} ${text} is not a positive whole number`);
}

async function main(settings: Settings): Promise<void> {
  const chosen = selectCases(settings.names);
  const qemuImg = await requireQemuImg();
  const wanted = chosen.map(({ source }) => source).filter((source) => source !== 'raw' && source !== SPARSE_SOURCE);
  const fixture = await requireDiskFixture({ sizeBytes: settings.sizeGib * GIB, source: 'usr', variants: wanted });
  const workFolder = await mkdtemp(join(fixture.folder, '..', 'bench-'));
  const results: CaseResult[] = [];
  try {
    console.log(`${await describe(qemuImg, fixture)}\n\n${TABLE_HEAD}`);
    for (const benchCase of chosen) {
      const source = await sourcePath(benchCase, fixture);
      const result = await runCase(benchCase, { ...settings, qemuImg, source, workFolder });
      results.push(result);
      console.log(tableRows(result));
    }
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
  await keep(results);
}

async function sourcePath(benchCase: BenchCase, fixture: DiskFixture): Promise<string> {
  if (benchCase.source !== SPARSE_SOURCE) return fixture.path(benchCase.source);
  return requireSparseDisk(fixture.folder, fixture.path('raw'));
}

async function describe(qemuImg: string, fixture: DiskFixture): Promise<string> {
  const version = (await runCommand(qemuImg, ['--version'])).split('\n')[0] ?? '';
  const { sizeBytes, allocatedBytes, source } = fixture.manifest;
  const disk = `a disk of ${sizeBytes / GIB} GiB with ${(allocatedBytes / GIB).toFixed(2)} GiB of /usr`;
  const content = source === 'usr' ? disk : disk.replace('/usr', 'Debian');
  return `${version}, Node ${process.version}, ${cpus().length} cores, ${content}.`;
}

async function keep(results: readonly CaseResult[]): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  const name = `${new Date().toISOString().replaceAll(':', '-')}.json`;
  await writeFile(join(RESULTS, name), `${JSON.stringify(results, undefined, 2)}\n`);
  console.log(`\nEvery figure: bench/results/${name}`);
}

await main(readSettings());
