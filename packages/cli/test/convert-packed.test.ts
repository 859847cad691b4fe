import { readdir, readFile, writeFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { packedBy } from '../../disk-image/test/packed.ts';
import { ovaOf, tarOf } from '../../disk-image/test/tar-archives.ts';
import { diskmorph, diskmorphJson, SAMPLE } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

beforeAll(async () => {
  await scratch.qemuImg('convert', '-O', 'raw', SAMPLE, 'sample.img');
  await scratch.qemuImg('convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', SAMPLE, 'disk1.vmdk');
  const raw = await readFile(scratch.path('sample.img'));
  const vmdk = { name: 'disk1.vmdk', content: await readFile(scratch.path('disk1.vmdk')) };
  const other = { name: 'disk2.vmdk', content: vmdk.content.subarray(0, 5000) };
  await writeFile(scratch.path('sample.img.gz'), await packedBy('gzip', ['-c'], raw));
  await writeFile(scratch.path('sample.img.xz'), await packedBy('xz', ['-c'], raw));
  await writeFile(
    scratch.path('sample.tar.zst'),
    await packedBy('zstd', ['-c'], tarOf([{ name: 'disk.raw', content: raw }])),
  );
  await writeFile(scratch.path('box.ova'), ovaOf([{ id: 'vmdisk1', ...vmdk }]));
  await writeFile(
    scratch.path('two.ova'),
    ovaOf([
      { id: 'vmdisk1', ...vmdk },
      { id: 'vmdisk2', ...other },
    ]),
  );
});

test.each([
  { file: 'sample.img.gz', says: 'raw, detected, in gz' },
  { file: 'sample.img.xz', says: 'raw, detected, in xz' },
  { file: 'sample.tar.zst', says: 'raw, detected, in tar in zst' },
  { file: 'box.ova', says: 'vmdk, streamOptimized, detected, in ova' },
])('the image in $file is converted, and nothing is left of the unpacking', async ({ file, says }) => {
  const before = await readdir(scratch.path('.'));
  const run = await diskmorph('convert', '-O', 'qcow2', scratch.path(file), scratch.path(`${file}.qcow2`));
  expect(run).toMatchObject({ code: 0 });
  expect(run.out).toContain(`${scratch.path(file)} (${says})`);
  expect(await scratch.qemuImg('compare', SAMPLE, `${file}.qcow2`)).toContain('Images are identical');
  expect(await readdir(scratch.path('.'))).toHaveLength(before.length + 1);
});

test('with --checkpoint it is unpacked there, and nothing is left in the end', async () => {
  const before = await readdir(scratch.path('.'));
  const args = ['convert', '-O', 'raw', '--checkpoint', scratch.path('work')];
  expect(await diskmorph(...args, scratch.path('sample.img.xz'), scratch.path('out.raw'))).toMatchObject({ code: 0 });
  expect((await readdir(scratch.path('.'))).sort()).toEqual([...before, 'out.raw'].sort());
});

test('one JSON document names the file, its containers and the name inside', async () => {
  const report = await diskmorphJson('convert', '-O', 'raw', scratch.path('box.ova'), scratch.path('box.raw'));
  expect(report['source']).toEqual({
    path: scratch.path('box.ova'),
    format: 'vmdk',
    detected: true,
    packed: { path: scratch.path('box.ova'), wrappers: ['ova'], name: 'disk1.vmdk' },
  });
});

test('of several disks one must be named', async () => {
  const unnamed = await diskmorph('convert', '-O', 'raw', scratch.path('two.ova'), scratch.path('two.raw'));
  expect(unnamed.code).not.toBe(0);
  expect(unnamed.err).toMatch(/"disk1\.vmdk", "disk2\.vmdk"/);
  const named = ['convert', '-O', 'raw', '--entry', 'vmdisk1', scratch.path('two.ova'), scratch.path('two.raw')];
  expect(await diskmorph(...named)).toMatchObject({ code: 0 });
  expect(await scratch.qemuImg('compare', '-F', 'raw', SAMPLE, 'two.raw')).toContain('Images are identical');
});

test('an archive that was written for Google is read back', async () => {
  const archive = scratch.path('google.tar.gz');
  expect(await diskmorph('convert', '--for', 'gcp', SAMPLE, archive)).toMatchObject({ code: 0 });
  expect(await diskmorph('convert', '-O', 'qcow2', archive, scratch.path('google.qcow2'))).toMatchObject({ code: 0 });
  expect(await scratch.qemuImg('compare', SAMPLE, 'google.qcow2')).toContain('Images are identical');
  expect(await diskmorph('compare', SAMPLE, archive)).toMatchObject({ code: 0 });
  expect(await diskmorph('lint', '--for', 'gcp', archive)).toMatchObject({ code: 0 });
});

test('-f raw takes the bytes as they are', async () => {
  const target = scratch.path('as-it-is.raw');
  expect(await diskmorph('convert', '-f', 'raw', '-O', 'raw', scratch.path('sample.img.gz'), target)).toMatchObject({
    code: 0,
  });
  expect(Buffer.compare(await readFile(target), await readFile(scratch.path('sample.img.gz')))).toBe(0);
});
