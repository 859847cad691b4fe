/**
 * What `npm test` runs: makes sure that the peers are there, runs every test (arguments go to vitest), and ends with
 * the one plain line `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { requirePackage } from '../fixtures/peers.ts';
import type { VitestReport } from './test-summary.ts';
import { summarize } from './test-summary.ts';

/** Programs that tests compare with or run in, and the Debian packages that bring them. */
const PEERS: readonly (readonly [program: string, debianPackage: string])[] = [
  ['qemu-img', 'qemu-utils'],
  ['qemu-io', 'qemu-utils'],
  ['chromium', 'chromium'],
];

const PROJECT = join(import.meta.dirname, '..');

async function main(): Promise<number> {
  if (!(await peersArePresent())) return 1;
  const work = await mkdtemp(join(tmpdir(), 'diskmorph-test-'));
  try {
    const reportPath = join(work, 'report.json');
    const exitCode = await runVitest(reportPath, process.argv.slice(2));
    const summary = summarize(await readReport(reportPath), exitCode);
    console.log(`\n${summary.line}`);
    return summary.exitCode;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function peersArePresent(): Promise<boolean> {
  let present = true;
  for (const [program, debianPackage] of PEERS) {
    try {
      await requirePackage(program, debianPackage);
    } catch (error) {
      present = false;
      console.error(error instanceof Error ? error.message : error);
    }
  }
  return present;
}

async function runVitest(reportPath: string, extraArguments: readonly string[]): Promise<number> {
  const packageFile = createRequire(import.meta.url).resolve('vitest/package.json');
  const vitest = join(dirname(packageFile), 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`];
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...extraArguments], {
    cwd: PROJECT,
    stdio: 'inherit',
  });
  const [code] = await once(child, 'close');
  return typeof code === 'number' ? code : 1;
}

/** Undefined when vitest died before it could write its report. */
async function readReport(path: string): Promise<VitestReport | undefined> {
  const json = await readFile(path, 'utf8').catch(() => undefined);
  return json === undefined ? undefined : JSON.parse(json);
}

process.exitCode = await main();
