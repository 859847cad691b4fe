import { link, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Finished } from './run-diskmorph.ts';
import { diskmorph, diskmorphJson, SAMPLE } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

beforeAll(async () => {
  await scratch.qemuImg('create', '-q', '-f', 'qcow2', '-b', SAMPLE, '-F', 'qcow2', 'overlay.qcow2');
  await writeFile(scratch.path('present.raw'), 'precious');
});

test.each([
  { name: 'raw', args: ['-O', 'raw'], target: 'a.raw', format: 'raw' },
  {
    name: 'qcow2 with options',
    args: ['-O', 'qcow2', '-o', 'cluster_size=128k,compat=0.10'],
    target: 'b.qcow2',
    format: 'qcow2',
  },
  { name: 'compressed qcow2', args: ['-O', 'qcow2', '-c'], target: 'c.qcow2', format: 'qcow2' },
  { name: 'qcow2 compressed by zstd', args: ['-O', 'qcow2', '--compress=zstd'], target: 'd.qcow2', format: 'qcow2' },
  { name: 'compressed vmdk', args: ['-O', 'vmdk', '-c'], target: 'e.vmdk', format: 'vmdk' },
])('converts into $name that qemu-img reads as the same disk', async ({ args, target, format }) => {
  const run = await diskmorph('convert', ...args, SAMPLE, scratch.path(target));
  expect(run).toMatchObject({ code: 0, err: '' });
  expect(run.out).toContain('qcow2, detected');
  expect(run.out).toContain('yes, read back with the same content id');
  expect(await scratch.qemuImg('compare', '-F', format, SAMPLE, target)).toContain('Images are identical');
});

test('one JSON document tells what was done', async () => {
  const report = await diskmorphJson('convert', '-O', 'raw', SAMPLE, scratch.path('json.raw'));
  const digest = await diskmorphJson('digest', SAMPLE);
  expect(report).toMatchObject({
    source: { path: SAMPLE, format: 'qcow2', detected: true },
    findings: [],
    virtualSize: 67108864,
    contentId: digest['contentId'],
    verified: true,
    targetSizeBytes: 67108864,
    files: [{ path: scratch.path('json.raw'), sizeBytes: 67108864 }],
  });
});

test('--quiet says nothing, --no-verify is said', async () => {
  expect(await diskmorph('convert', '-q', '-O', 'raw', SAMPLE, scratch.path('quiet.raw'))).toMatchObject({
    code: 0,
    out: '',
    err: '',
  });
  const unverified = await diskmorph('convert', '--no-verify', '-O', 'raw', SAMPLE, scratch.path('unverified.raw'));
  expect(unverified.out).toMatch(/verified +no/);
});

test('--reflink takes the words that cp takes, but for those that cannot be', async () => {
  const target = scratch.path('reflink.raw');
  const refused = await diskmorph('convert', '--reflink', 'always', '-O', 'raw', SAMPLE, target);
  expect(refused).toMatchObject({ code: 64, out: '' });
  expect(refused.err).toContain('--reflink is auto or never');
  expect(await diskmorph('convert', '-q', '--reflink', 'never', '-O', 'raw', SAMPLE, target)).toMatchObject({
    code: 0,
  });
});

test('a named format is not said to be detected', async () => {
  const run = await diskmorph('convert', '-f', 'qcow2', '-O', 'raw', SAMPLE, scratch.path('named.raw'));
  expect(run.out).not.toContain('detected');
});

test('a plan writes nothing', async () => {
  const target = scratch.path('planned.qcow2');
  const run = await diskmorph('convert', '--plan', '-O', 'qcow2', SAMPLE, target);
  expect(run).toMatchObject({ code: 0, err: '' });
  expect(run.out).toContain('nothing is written');
  const plan = await diskmorphJson('convert', '--plan', '-O', 'qcow2', SAMPLE, target);
  expect(plan).toMatchObject({ fileName: 'planned.qcow2', layout: { format: 'qcow2' }, source: { format: 'qcow2' } });
  await expect(stat(target)).rejects.toThrow('ENOENT');
});

test('a target that exists is replaced only by --force', async () => {
  const refused = await diskmorph('convert', '-O', 'raw', SAMPLE, scratch.path('present.raw'));
  expect(refused).toMatchObject({ code: 16, out: '' });
  expect(refused.err).toContain('exists already [io]');
  expect(await readFile(scratch.path('present.raw'), 'utf8')).toBe('precious');
  const forced = await diskmorph('convert', '--force', '-O', 'raw', SAMPLE, scratch.path('present.raw'));
  expect(forced.code).toBe(0);
  expect((await stat(scratch.path('present.raw'))).size).toBe(67108864);
});

test('the source is never its own target, by whatever name', async () => {
  await writeFile(scratch.path('self.raw'), new Uint8Array(4096));
  await link(scratch.path('self.raw'), scratch.path('also.raw'));
  for (const target of ['self.raw', 'also.raw']) {
    const run = await diskmorph('convert', '--force', '-O', 'qcow2', scratch.path('self.raw'), scratch.path(target));
    expect(run).toMatchObject({ code: 64, out: '' });
    expect(run.err).toContain('SRC and DST are the same file');
  }
});

test('an image that names another file is refused, with the finding, until references are allowed', async () => {
  const convertOverlay = (...allow: readonly string[]): Promise<Finished> =>
    diskmorph('convert', '-O', 'raw', ...allow, scratch.path('overlay.qcow2'), scratch.path('over.raw'));
  const refused = await convertOverlay();
  expect(refused).toMatchObject({ code: 14, out: '' });
  expect(refused.err).toContain('unsafe   backing-file  at byte 8');
  expect(refused.err).toContain('--allow-references DIR');
  expect(await convertOverlay('--allow-references', scratch.path('.'))).toMatchObject({ code: 14, out: '' });
  expect((await convertOverlay('--allow-references', path.dirname(SAMPLE))).code).toBe(0);
  expect(await scratch.qemuImg('compare', '-F', 'raw', SAMPLE, 'over.raw')).toContain('Images are identical');
});

test('a declared format that the file contradicts stops the conversion unless that finding is allowed', async () => {
  const args = ['convert', '-f', 'raw', '-O', 'raw', SAMPLE, scratch.path('verbatim.raw')];
  const refused = await diskmorph(...args);
  expect(refused.code).toBe(14);
  expect(refused.err).toContain('--allow format-mismatch goes on all the same');
  expect((await diskmorph(...args, '--allow', 'format-mismatch')).code).toBe(0);
  expect(await readFile(scratch.path('verbatim.raw'))).toEqual(await readFile(SAMPLE));
});

test('a snapshot is read instead of the current state', async () => {
  await scratch.qemuImg('convert', '-f', 'qcow2', '-O', 'qcow2', SAMPLE, 'snap.qcow2');
  await scratch.qemuImg('snapshot', '-c', 'before', 'snap.qcow2');
  const convertSnapshot = (name: string): Promise<Finished> =>
    diskmorph('convert', '-O', 'raw', '--snapshot', name, scratch.path('snap.qcow2'), scratch.path(`${name}.raw`));
  expect((await convertSnapshot('before')).code).toBe(0);
  expect(await scratch.qemuImg('compare', '-F', 'raw', SAMPLE, 'before.raw')).toContain('Images are identical');
  const absent = await convertSnapshot('after');
  expect(absent).toMatchObject({ out: '' });
  expect(absent.err).toContain('after');
});

test('a checkpointed conversion removes its work directory', async () => {
  await mkdir(scratch.path('checkpointed'));
  const target = scratch.path('checkpointed/disk.raw');
  const run = await diskmorph(
    'convert',
    '-O',
    'raw',
    '--checkpoint',
    scratch.path('checkpointed/work'),
    SAMPLE,
    target,
  );
  expect(run.code).toBe(0);
  expect(await readdir(scratch.path('checkpointed'))).toEqual(['disk.raw']);
});
