/** Checks who imports whom and which words stand where (ARCHITECTURE.md). Prints each violation; exits with 1 if there is one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkSource } from './rooms/check-source.ts';

const PROJECT = join(import.meta.dirname, '..');
const SKIPPED = new Set(['node_modules', 'dist', 'coverage']);

/** Paths of the TypeScript files below `packages`, relative to the project. */
function sourcePaths(folder: string): string[] {
  return readdirSync(join(PROJECT, folder), { withFileTypes: true })
    .filter((entry) => !SKIPPED.has(entry.name))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return sourcePaths(path);
      return /\.tsx?$/.test(entry.name) ? [path] : [];
    })
    .sort();
}

const paths = sourcePaths('packages');
const violations = paths.flatMap((path) => checkSource(path, readFileSync(join(PROJECT, path), 'utf8')));
for (const { path, line, law } of violations) console.error(`${path}:${line}: ${law}`);
console.log(`rooms: ${paths.length} files, ${violations.length} violations`);
process.exitCode = violations.length > 0 ? 1 : 0;
