import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..', '..');

/** Builds the programs into a folder, as they are installed, and gives the path of the drop-in. */
export async function buildPrograms(folder: string): Promise<string> {
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@diskmorph'), { recursive: true });
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (name !== '@diskmorph' && name !== 'diskmorph')
      await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  for (const name of ['disk-image', 'disk-image-node', 'cli']) {
    const source = join(ROOT, 'packages', name);
    const target = join(folder, 'packages', name);
    await mkdir(target, { recursive: true });
    await cp(join(source, 'package.json'), join(target, 'package.json'));
    const project = join(source, 'tsconfig.build.json');
    // Types are checked elsewhere; here the packages are not built for each other to find.
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    await execute(process.execPath, [
      tsc,
      '-p',
      project,
      '--noCheck',
      '--declaration',
      'false',
      '--isolatedDeclarations',
      'false',
      '--outDir',
      join(target, 'dist'),
    ]);
    if (name !== 'cli') await symlink(target, join(modules, '@diskmorph', name));
  }
  const bundle = join(folder, 'packages', 'cli', 'dist', 'bundle');
  await execute(process.execPath, [join(ROOT, 'tools', 'bundle.ts'), bundle]);
  await cp(join(ROOT, 'packages', 'cli', 'bin'), join(folder, 'packages', 'cli', 'bin'), { recursive: true });
  return join(folder, 'packages', 'cli', 'bin', 'qemu-img');
}
