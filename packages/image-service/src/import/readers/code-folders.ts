import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The packages whose code a reader runs. */
const MODULES = 'node_modules';
const PACKAGES = ['@diskmorph/disk-image', '@diskmorph/disk-image-node'];

/**
 * The folders that a reader loads its code from, with a slash at the end: the packages, and every `node_modules` that
 * they may find others in.
 */
export function codeFolders(entry: string): readonly string[] {
  const files = [entry, fileURLToPath(import.meta.url), ...PACKAGES.flatMap(resolved)];
  const folders = [...files.map(packageFolder), ...files.flatMap(modulesAbove)];
  const real = folders.flatMap((folder) => [realpathSync(folder), ...linkedModules(folder)]);
  return [...new Set([...folders, ...real])].map((folder) => `${folder}${sep}`);
}

/** The `node_modules` that the packages in a folder of this name are links into. */
function linkedModules(folder: string): readonly string[] {
  if (basename(folder) !== MODULES) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isSymbolicLink()) return [];
    const [before, after] = realpathSync(join(folder, entry.name)).split(`${sep}${MODULES}${sep}`, 2);
    return before === undefined || after === undefined ? [] : [join(before, MODULES)];
  });
}

/** Nothing for a package that a bundle has taken in. */
function resolved(name: string): readonly string[] {
  try {
    return [fileURLToPath(import.meta.resolve(name))];
  } catch {
    return [];
  }
}

/** The nearest folder above that has a `package.json`; the file's own where none has. */
function packageFolder(file: string): string {
  for (const folder of foldersAbove(file)) if (existsSync(join(folder, 'package.json'))) return folder;
  return dirname(file);
}

function modulesAbove(file: string): readonly string[] {
  return foldersAbove(file)
    .map((folder) => join(folder, MODULES))
    .filter((folder) => existsSync(folder));
}

function foldersAbove(file: string): readonly string[] {
  const folders: string[] = [];
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    folders.push(folder);
    if (folder === dirname(folder)) return folders;
  }
}
