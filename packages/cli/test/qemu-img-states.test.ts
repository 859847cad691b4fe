/** Images in unusual states and chains of mixed formats: both programs say the same of them. */
import { copyFile, open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { imageMaker } from './qemu-img-map-images.ts';
import { comparable, ours, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;

const IMAGES: readonly string[] = [
  'snapshots.qcow2',
  'old.qcow2',
  'grown.qcow2',
  'dirty.qcow2',
  'corrupt.qcow2',
  'leaked.qcow2',
  'compressed.qcow2',
  'compressed-extended.qcow2',
  'compressed-large.qcow2',
  'dirty.qed',
  'dirty.vmdk',
  'on-compressed.qcow2',
  'on-odd.qcow2',
  'on-vdi.qcow2',
  'on-vhdx.qcow2',
  'on-vpc.qcow2',
  'on-vmdk.qed',
  'on-qed.qcow2',
  'on-raw-vmdk.qcow2',
];

/** Copies an image and changes one byte. */
async function patchedCopy(from: string, to: string, offset: number, value: number): Promise<void> {
  await copyFile(join(folder, from), join(folder, to));
  const file = await open(join(folder, to), 'r+');
  await file.write(Uint8Array.of(value), 0, 1, offset);
  await file.close();
}

beforeAll(async () => {
  folder = scratch.path('.');
  const { img, io } = await imageMaker(folder);
  const create = (format: string, ...args: readonly string[]): Promise<void> =>
    img('create', '-q', '-f', format, ...args);
  await create('qcow2', 'snapshots.qcow2', '10M');
  for (const step of [1, 2, 3]) {
    await io('qcow2', 'snapshots.qcow2', `write -P ${step} ${step}M 1M`);
    await img('snapshot', '-c', `step ${step}`, 'snapshots.qcow2');
  }
  await img('snapshot', '-d', 'step 2', 'snapshots.qcow2');
  await img('bitmap', '--add', 'snapshots.qcow2', 'one');
  await img('bitmap', '--add', '--disable', '-g', '512', 'snapshots.qcow2', 'two');
  await create('qcow2', '-o', 'compat=0.10', 'old.qcow2', '10M');
  await img('snapshot', '-c', 'x', 'old.qcow2');
  await io('qcow2', 'old.qcow2', 'write -P 1 0 1M');
  await create('qcow2', 'grown.qcow2', '10M');
  await img('snapshot', '-c', 'small', 'grown.qcow2');
  await img('resize', '-q', 'grown.qcow2', '20M');
  await io('qcow2', 'grown.qcow2', 'write -P 2 15M 64k');
  await patchedCopy('snapshots.qcow2', 'dirty.qcow2', 79, 1);
  await patchedCopy('snapshots.qcow2', 'corrupt.qcow2', 79, 2);
  await create('qcow2', 'leaked.qcow2', '10M');
  await io('qcow2', 'leaked.qcow2', 'write -P 1 0 1M');
  await truncate(join(folder, 'leaked.qcow2'), 2_000_000);
  const compress = (...args: readonly string[]): Promise<void> =>
    img('convert', '-c', '-O', 'qcow2', 'snapshots.qcow2', ...args);
  await compress('compressed.qcow2');
  await compress('-o', 'extended_l2=on', 'compressed-extended.qcow2');
  await compress('-o', 'cluster_size=2M,compression_type=zstd', 'compressed-large.qcow2');
  for (const format of ['qed', 'vmdk', 'vdi', 'vhdx', 'vpc']) {
    await create(format, `plain.${format}`, '10M');
    await io(format, `plain.${format}`, 'write -P 1 0 1M', 'write -P 2 5M 64k');
  }
  await patchedCopy('plain.qed', 'dirty.qed', 16, 2);
  await patchedCopy('plain.vmdk', 'dirty.vmdk', 72, 1);
  await writeFile(join(folder, 'odd.raw'), 'abc');
  const over = (name: string, base: string, format: string = base.replace(/.*\./, '')): Promise<void> =>
    create(name.replace(/.*\./, ''), '-b', base, '-F', format, name);
  await over('on-compressed.qcow2', 'compressed.qcow2');
  await io('qcow2', 'on-compressed.qcow2', 'write -P 4 64k 64k');
  await over('on-odd.qcow2', 'odd.raw');
  await over('on-vdi.qcow2', 'plain.vdi');
  await over('on-vhdx.qcow2', 'plain.vhdx');
  await over('on-vpc.qcow2', 'plain.vpc');
  await over('on-vmdk.qed', 'plain.vmdk');
  await over('on-qed.qcow2', 'on-vmdk.qed');
  await io('qcow2', 'on-qed.qcow2', 'write -z 0 64k', 'write -P 4 5M 512');
  await over('on-raw-vmdk.qcow2', 'plain.vmdk', 'raw');
});

test.each([
  ['info'],
  ['info', '--backing-chain', '--output=json'],
  ['map'],
  ['map', '--output=json'],
  ['check'],
  ['check', '--output=json'],
  ['measure', '-O', 'qcow2', '--output=json'],
  ['snapshot', '-l'],
])('%s %s %s %s says what qemu-img 7.2 says', async (...look) => {
  const command = look.filter((part) => part !== undefined);
  for (const image of IMAGES) {
    const mine = comparable(await ours(folder, ...command, image));
    expect({ image, ...mine }).toEqual({ image, ...comparable(await theirs(folder, ...command, image)) });
  }
});

test.each([
  ['-O', 'qcow2', '-l', '1', 'snapshots.qcow2'],
  ['-O', 'raw', '-l', 'snapshot.name=step 3', 'snapshots.qcow2'],
  ['-O', 'qcow2', '-l', 'snapshot.id=9', 'snapshots.qcow2'],
  ['-O', 'qcow2', '-l', 'x', '--output=json', 'old.qcow2'],
])('measure %s %s %s %s %s %s says what qemu-img 7.2 says', async (...given) => {
  const args = ['measure', ...given.filter((part) => part !== undefined)];
  expect(await ours(folder, ...args)).toEqual(await theirs(folder, ...args));
});
