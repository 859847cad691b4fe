/**
 * The programs as users have them: built and packed, in a copy of the workspace, because a `dist` beside the sources would be
 * what every other command in the checkout starts from then on.
 */
import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import { withLock } from '../fixtures/lock-file.ts';

const WORKSPACE = join(import.meta.dirname, '..');
/** Each state of the sources is built to a folder of its own in here, so that a build disturbs no run that is under way. */
const BUILDS = join(import.meta.dirname, 'build');
/** What `npm run build` reads, relative to the workspace. */
const INPUTS = ['package.json', 'package-lock.json', 'tsconfig.base.json', 'tools/bundle.ts', 'packages'];
/** Neither built nor part of an installed package. */
const LEFT_OUT = new Set(['node_modules', 'dist', 'test', 'coverage']);
const STAMP = 'sources.sha256';
const STAMP_SHOWN = 12;
const KEPT_MS = 24 * 60 * 60 * 1000;

/** Where the built programs lie. */
export interface InstalledProgram {
  readonly dropIn: string;
  readonly diskmorph: string;
}

/** The programs built from the sources as they are now, unless that has been done before. Throws the build's last words. */
export async function requireInstalledProgram(): Promise<InstalledProgram> {
  return withLock(`${BUILDS}.lock`, async () => {
    const inputs = await inputFiles();
    const stamp = await stampOf(inputs);
    const folder = join(BUILDS, stamp.slice(0, STAMP_SHOWN));
    const built = await readFile(join(folder, STAMP), 'utf8').catch(() => undefined);
    if (built !== stamp) await build(folder, inputs, stamp);
    await removeOldBuilds(folder);
    const bin = join(folder, 'packages', 'cli', 'bin');
    return { dropIn: join(bin, 'qemu-img'), diskmorph: join(bin, 'diskmorph.js') };
  });
}

/** Removes what was built more than a day ago, but for `current`. */
async function removeOldBuilds(current: string): Promise<void> {
  for (const name of await readdir(BUILDS)) {
    const folder = join(BUILDS, name);
    const stamp = await stat(join(folder, STAMP)).catch(() => undefined);
    const isOld = stamp !== undefined && stamp.mtimeMs < Date.now() - KEPT_MS;
    if (isOld && folder !== current) await rm(folder, { recursive: true, force: true });
  }
}

async function build(folder: string, inputs: readonly string[], stamp: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  for (const path of inputs) await cp(join(WORKSPACE, path), join(folder, path));
  await linkPackages(folder);
  await runCommand('npm', ['run', '--silent', 'build', '--prefix', folder]);
  await removeSources(folder);
  await writeFile(join(folder, STAMP), stamp);
}

/** The packages find each other in the copy, and everything else in the workspace's own `node_modules` above it. */
async function linkPackages(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, 'packages'))) {
    const manifest: { name: string } = JSON.parse(
      await readFile(join(folder, 'packages', name, 'package.json'), 'utf8'),
    );
    const link = join(folder, 'node_modules', manifest.name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(relative(dirname(link), join(folder, 'packages', name)), link);
  }
}

/** An installed package has no sources; the launcher would not start from them anyway. */
async function removeSources(folder: string): Promise<void> {
  for (const name of await readdir(join(folder, 'packages'))) {
    await rm(join(folder, 'packages', name, 'src'), { recursive: true, force: true });
  }
  await rm(join(folder, 'tools'), { recursive: true, force: true });
}

/** Changes with every change of a file's content, name or mode of execution. */
async function stampOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { mode } = await stat(join(WORKSPACE, path));
    const content = await readFile(join(WORKSPACE, path));
    hash.update(`${path}\n${mode.toString(8)}\n${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/** Paths of the files that are built from, sorted, relative to the workspace. */
async function inputFiles(): Promise<string[]> {
  const found: string[] = [];
  for (const input of INPUTS) {
    const info = await stat(join(WORKSPACE, input));
    found.push(...(info.isDirectory() ? await filesBelow(input) : [input]));
  }
  return found.sort();
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(join(WORKSPACE, folder), { withFileTypes: true });
  const below = await Promise.all(
    entries.filter(isInput).map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : [path];
    }),
  );
  return below.flat();
}

function isInput(entry: Dirent): boolean {
  if (entry.isDirectory()) return !LEFT_OUT.has(entry.name);
  return entry.isFile() && !basename(entry.name).endsWith('.test.ts');
}
