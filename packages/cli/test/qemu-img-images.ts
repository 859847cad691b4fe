import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { requirePackage, requireQemuImg } from '../../../fixtures/peers.ts';

const execute = promisify(execFile);

/** Makes images of every kind in a folder, with QEMU's own programs, and gives their names. */
export async function makeImages(folder: string): Promise<readonly string[]> {
  const qemuImg = await requireQemuImg();
  const qemuIo = await requirePackage('qemu-io', 'qemu-utils');
  const img = async (...args: readonly string[]): Promise<void> => void (await execute(qemuImg, args, { cwd: folder }));
  const io = async (file: string, ...commands: readonly string[]): Promise<void> =>
    void (await execute(qemuIo, [...commands.flatMap((command) => ['-c', command]), file], { cwd: folder }));
  const copy = (file: string, ...options: readonly string[]): Promise<void> =>
    img('convert', 'a.qcow2', ...options, file);

  await img('create', '-q', '-f', 'qcow2', 'a.qcow2', '20M');
  await io('a.qcow2', 'write -P 1 0 1M', 'write -z 2M 1M', 'write -P 3 5M 64k', 'write -P 4 9000k 4k');
  await copy('compressed.qcow2', '-c', '-O', 'qcow2');
  await copy('zstd.qcow2', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd,cluster_size=4k');
  await img('snapshot', '-c', 'first', 'a.qcow2');
  await img('snapshot', '-c', 'a name that is longer than its column', 'a.qcow2');
  await img('bitmap', '--add', 'a.qcow2', 'one');
  await img('bitmap', '--add', '--disable', '-g', '4k', 'a.qcow2', 'two');
  await img('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', 'v2.qcow2', '10M');
  await img('create', '-q', '-f', 'qcow2', '-b', 'a.qcow2', '-F', 'qcow2', 'over.qcow2');
  await io('over.qcow2', 'write -P 7 1M 64k', 'write -z 5M 64k');
  await img('create', '-q', '-f', 'qcow2', '-b', join(folder, 'over.qcow2'), '-F', 'qcow2', 'over2.qcow2', '30M');
  await img('create', '-q', '-f', 'qcow2', '-o', 'data_file=data.raw,data_file_raw=on', 'external.qcow2', '10M');
  const extended = 'compression_type=zstd,lazy_refcounts=on,extended_l2=on,refcount_bits=1,cluster_size=32k';
  await img('create', '-q', '-f', 'qcow2', '-o', extended, 'extended.qcow2', '10M');
  await io('extended.qcow2', 'write -P 1 64k 64k', 'write -z 1M 2k');
  const secret = ['--object', 'secret,id=s,data=abc'];
  const aes = 'encrypt.format=aes,encrypt.key-secret=s';
  await img('create', '-q', ...secret, '-f', 'qcow2', '-o', aes, 'aes.qcow2', '10M');
  await img('create', '-q', '-f', 'raw', 'sparse.raw', '10M');
  await io('sparse.raw', 'write -P 1 0 64k', 'write -P 2 1M 8k');
  await writeFile(join(folder, 'odd.raw'), 'abc');
  await writeFile(join(folder, 'empty.raw'), '');
  for (const subformat of [
    'monolithicSparse',
    'monolithicFlat',
    'twoGbMaxExtentSparse',
    'twoGbMaxExtentFlat',
    'streamOptimized',
  ]) {
    await copy(`${subformat}.vmdk`, '-O', 'vmdk', '-o', `subformat=${subformat}`);
  }
  await copy('dynamic.vpc', '-O', 'vpc');
  await copy('forced.vpc', '-O', 'vpc', '-o', 'force_size');
  await copy('fixed.vpc', '-O', 'vpc', '-o', 'subformat=fixed');
  await copy('dynamic.vhdx', '-O', 'vhdx');
  await copy('fixed.vhdx', '-O', 'vhdx', '-o', 'subformat=fixed');
  await copy('dynamic.vdi', '-O', 'vdi');
  await copy('static.vdi', '-O', 'vdi', '-o', 'static=on');
  await copy('a.qed', '-O', 'qed');
  await copy('a.parallels', '-O', 'parallels');
  await copy('a.qcow', '-O', 'qcow');
  await img('create', '-q', '-f', 'qed', '-b', 'a.qcow2', '-F', 'qcow2', 'over.qed');
  await img('create', '-q', '-f', 'qcow', '-b', 'a.qcow2', '-F', 'qcow2', 'over.qcow');
  return NAMES;
}

const NAMES: readonly string[] = [
  'a.qcow2',
  'compressed.qcow2',
  'zstd.qcow2',
  'v2.qcow2',
  'over.qcow2',
  'over2.qcow2',
  'external.qcow2',
  'extended.qcow2',
  'aes.qcow2',
  'sparse.raw',
  'odd.raw',
  'empty.raw',
  'monolithicSparse.vmdk',
  'monolithicFlat.vmdk',
  'twoGbMaxExtentSparse.vmdk',
  'twoGbMaxExtentFlat.vmdk',
  'streamOptimized.vmdk',
  'dynamic.vpc',
  'forced.vpc',
  'fixed.vpc',
  'dynamic.vhdx',
  'fixed.vhdx',
  'dynamic.vdi',
  'static.vdi',
  'a.qed',
  'a.parallels',
  'a.qcow',
  'over.qed',
  'over.qcow',
];
