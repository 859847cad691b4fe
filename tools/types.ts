/** Type-checks every package by its own settings, then everything (tests, tools, fixtures, benchmarks) by the root's. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const PROJECT = join(import.meta.dirname, '..');
const TSC = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');

const packageFolders = readdirSync(join(PROJECT, 'packages')).sort();
const projects = [...packageFolders.map((name) => join('packages', name)), '.'].filter((folder) =>
  existsSync(join(PROJECT, folder, 'tsconfig.json')),
);
const failed = projects.filter((folder) => {
  const result = spawnSync(process.execPath, [TSC, '-p', folder], { cwd: PROJECT, stdio: 'inherit' });
  return result.status !== 0;
});
if (failed.length > 0) console.error(`types: failed in ${failed.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
