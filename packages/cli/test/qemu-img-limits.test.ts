import { readdir, readFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import { makeImages } from './qemu-img-images.ts';
import { QEMU_IMG_BIN as program, run, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;

beforeAll(async () => {
  folder = scratch.path('.');
  await makeImages(folder);
});

const GIB = 2 ** 30;

test.each([
  ['info', '-f', 'qcow2', '--output=json', 'a.qcow2'],
  ['info', 'over2.qcow2', '--force-share', '--output=json'],
  ['info', '--output=json', 'streamOptimized.vmdk'],
  ['info', 'dynamic.vhdx'],
  ['check', 'compressed.qcow2'],
  ['map', '--output=json', 'over2.qcow2'],
  ['measure', '-O', 'qcow2', 'dynamic.vdi'],
  ['--version'],
])('under 1 GiB of address space and 2 s of CPU: %s %s %s %s', async (...given) => {
  const args = given.filter((part) => part !== undefined);
  const ended = await run('prlimit', [`--as=${GIB}`, '--cpu=2', program, ...args], folder);
  expect(ended).toMatchObject({ code: 0, err: '' });
  expect(ended.out).not.toBe('');
});

test.each([
  { gib: 1, options: ['-O', 'raw'] },
  { gib: 2, options: ['-O', 'raw', '-t', 'none', '-W'] },
  { gib: 2, options: ['-O', 'qcow2', '-c'] },
  { gib: 2, options: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'] },
])('convert $options works under $gib GiB of address space', async ({ gib, options }) => {
  const args = ['convert', ...options, 'zstd.qcow2', 'limited'];
  const ended = await run('prlimit', [`--as=${gib * GIB}`, program, ...args], folder, { MALLOC_ARENA_MAX: '3' });
  expect(ended).toEqual({ code: 0, out: '', err: '' });
  expect((await theirs(folder, 'compare', '-F', options[1] ?? '', 'zstd.qcow2', 'limited')).code).toBe(0);
});

test('info of a small image takes less than 0.3 s of CPU, start-up included', async () => {
  const python = await requirePackage('python3', 'python3-minimal');
  const script =
    'import resource,subprocess,sys\n' +
    'used=[]\n' +
    'for _ in range(5):\n' +
    '  before=resource.getrusage(resource.RUSAGE_CHILDREN)\n' +
    '  subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL)\n' +
    '  after=resource.getrusage(resource.RUSAGE_CHILDREN)\n' +
    '  used.append(after.ru_utime+after.ru_stime-before.ru_utime-before.ru_stime)\n' +
    'print(min(used))\n';
  for (const limit of [[], ['prlimit', `--as=${GIB}`]]) {
    const { out } = await run(python, ['-c', script, ...limit, program, 'info', 'a.qcow2'], folder);
    expect(Number(out)).toBeLessThan(0.3);
  }
});

test('a caller that refuses any text on standard error converts unchanged, with ours first on its path', async () => {
  const python = await requirePackage('python3', 'python3-minimal');
  const caller = join(import.meta.dirname, 'qemu-img-caller.py');
  const env = { PATH: `${dirname(program)}${delimiter}${process.env['PATH'] ?? ''}` };
  for (const [source = '', from = '', to = ''] of [
    ['compressed.qcow2', 'qcow2', 'raw'],
    ['streamOptimized.vmdk', 'vmdk', 'qcow2'],
    ['sparse.raw', 'raw', 'qcow2'],
    ['dynamic.vhdx', 'vhdx', 'raw'],
  ]) {
    const ended = await run(python, [caller, source, from, to, 'called'], folder, env);
    expect({ source, ...ended }).toMatchObject({ source, code: 0, err: '' });
    expect((await theirs(folder, 'compare', '-f', from, '-F', to, source, 'called')).code).toBe(0);
  }
});

test('the build is what was asked: the program runs no source', async () => {
  expect(await readFile(join(dirname(program), '..', 'dist', 'bundle', 'qemu-img.js'), 'utf8')).toContain('runQemuImg');
});

test('what threads start from is in the build', async () => {
  const files = await readdir(join(dirname(program), '..', 'dist', 'bundle'));
  expect(files).toEqual(expect.arrayContaining(['lane-worker.js', 'checksum-worker.js', 'hash-worker.js']));
});
