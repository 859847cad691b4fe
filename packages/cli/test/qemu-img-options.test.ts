/** For each format and each create option: one image made by QEMU and one made by ours, looked at by both programs. */
import { mkdir } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { imageMaker } from './qemu-img-map-images.ts';
import type { Ended } from './qemu-img-run.ts';
import { comparable, ours, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
/** Images of the same name lie in both, so that nothing that is printed differs by its name. */
const folders = { ours: '', theirs: '' };

beforeAll(async () => {
  for (const side of ['ours', 'theirs'] as const) {
    folders[side] = scratch.path(side);
    await mkdir(folders[side]);
  }
  const { img, io } = await imageMaker(folders.theirs);
  await img('create', '-q', '-f', 'vmdk', 'base.vmdk', '8M');
  await img('create', '-q', '-f', 'qcow2', 'base.qcow2', '8M');
  for (const format of ['vmdk', 'qcow2']) {
    await io(format, `base.${format}`, 'write -P 1 1M 2M');
    await img('convert', '-O', format, `base.${format}`, `${folders.ours}/base.${format}`);
  }
});

const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  qcow2: [
    '',
    'cluster_size=512',
    'cluster_size=4k',
    'cluster_size=2M',
    'extended_l2=on',
    'extended_l2=on,cluster_size=16k',
    'preallocation=off',
    'preallocation=metadata',
    'preallocation=falloc',
    'preallocation=full',
    'preallocation=full,cluster_size=2M',
    'compression_type=zstd',
    'compat=0.10',
    'compat=v2',
    'compat=1.1',
    'lazy_refcounts=on',
    'refcount_bits=1',
    'refcount_bits=2',
    'refcount_bits=4',
    'refcount_bits=8',
    'refcount_bits=32',
    'refcount_bits=64',
    'encryption=off',
    'nocow=on',
    'extent_size_hint=1M',
    'data_file_raw=off',
    'backing_file=base.qcow2,backing_fmt=qcow2',
    'backing_file=base.vmdk,backing_fmt=vmdk',
    'backing_file=base.qcow2,backing_fmt=raw',
    'backing_file=base.qcow2,backing_fmt=qcow2,preallocation=metadata,extended_l2=on',
  ],
  vmdk: [
    '',
    'subformat=monolithicSparse',
    'subformat=monolithicFlat',
    'subformat=twoGbMaxExtentSparse',
    'subformat=twoGbMaxExtentFlat',
    'subformat=streamOptimized',
    'adapter_type=lsilogic',
    'adapter_type=buslogic',
    'adapter_type=legacyESX',
    'compat6=on',
    'hwversion=7',
    'hwversion=undefined',
    'toolsversion=10336',
    'zeroed_grain=on',
    'zeroed_grain=on,subformat=twoGbMaxExtentSparse',
    'nocow=on',
    'backing_fmt=vmdk',
    'backing_file=base.vmdk,backing_fmt=vmdk',
    'backing_file=base.vmdk,backing_fmt=vmdk,zeroed_grain=on',
    'backing_file=base.vmdk,backing_fmt=vmdk,subformat=twoGbMaxExtentSparse',
    'backing_file=base.vmdk,backing_fmt=vmdk,subformat=streamOptimized',
  ],
  vpc: ['', 'subformat=dynamic', 'subformat=fixed', 'force_size=on', 'force_size=on,subformat=fixed'],
  vhdx: [
    '',
    'log_size=2M',
    'log_size=1500k',
    'block_size=1M',
    'block_size=512k',
    'block_size=512M',
    'block_size=0',
    'subformat=dynamic',
    'subformat=fixed',
    'block_state_zero=off',
    'block_state_zero=on',
  ],
  vdi: ['', 'static=on', 'static=off', 'preallocation=falloc'],
  raw: ['', 'preallocation=off', 'preallocation=falloc', 'preallocation=full', 'nocow=on', 'extent_size_hint=1M'],
};

/** What cannot be: both refuse it in the same words. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  qcow2: [
    'cluster_size=256',
    'cluster_size=5000',
    'refcount_bits=3',
    'refcount_bits=8,compat=0.10',
    'compat=0.9',
    'lazy_refcounts=on,compat=0.10',
    'extended_l2=on,compat=0.10',
    'extended_l2=on,cluster_size=8k',
    'compression_type=zstd,compat=0.10',
    'compression_type=lzma',
    'preallocation=frob',
    'preallocation=metadata,backing_file=base.qcow2,backing_fmt=qcow2',
    'data_file_raw=on',
    'backing_fmt=qcow2',
    'backing_fmt=frob',
    'backing_file=image,backing_fmt=qcow2',
    'backing_file=base.qcow2,backing_fmt=frob',
    'backing_file=base.vmdk,backing_fmt=qcow2',
    'backing_file=base.qcow2,backing_fmt=vpc',
    'size=5M',
  ],
  vmdk: [
    'adapter_type=frob',
    'subformat=frob',
    'compat6=on,hwversion=7',
    'zeroed_grain=on,subformat=monolithicFlat',
    'preallocation=frob',
    'backing_file=base.vmdk,backing_fmt=vmdk,subformat=monolithicFlat',
    'backing_file=base.vmdk,backing_fmt=vmdk,subformat=twoGbMaxExtentFlat',
    'backing_file=base.qcow2,backing_fmt=qcow2',
    'backing_file=base.qcow2,backing_fmt=vmdk',
    'backing_file=nope,backing_fmt=vmdk',
  ],
  vpc: ['subformat=frob', 'force_size=frob', 'preallocation=metadata'],
  vhdx: ['subformat=frob', 'block_size=3M', 'block_size=frob', 'log_size=0', 'log_size=8G', 'preallocation=metadata'],
  vdi: ['static=frob', 'preallocation=metadata', 'preallocation=frob'],
  raw: ['preallocation=frob', 'preallocation=metadata', 'extent_size_hint=frob', 'nocow=frob'],
};

const LOOKS: readonly (readonly string[])[] = [['info'], ['map', '--output=json'], ['check', '--output=json']];

/** Guest bytes begin at 4 KiB in our static VDIs and at 1 KiB in theirs: holes begin elsewhere. */
const OWN_HOLES: ReadonlySet<string> = new Set(['vdi static=on']);

function cases(table: Readonly<Record<string, readonly string[]>>): readonly (readonly [string, string])[] {
  return Object.entries(table).flatMap(([format, all]) => all.map((options): [string, string] => [format, options]));
}

function createArgs(format: string, options: string): readonly string[] {
  return ['create', '-f', format, ...(options === '' ? [] : ['-o', options]), 'image', '9M'];
}

/** Identifiers are random there, and where tables and blocks lie in a file is each writer's own choice. */
function withoutOwnChoices(ended: Ended): Ended {
  const { out } = comparable(ended);
  return {
    ...ended,
    out: out
      .replaceAll(/((?:parent )?cid: )\d+/g, '$1N')
      .replaceAll(/("offset": )\d+/g, '$1N')
      .replace(/("image-end-offset": )\d+/, '$1N'),
  };
}

test.each(cases(OPTIONS))('create -f %s -o "%s" makes what both programs see alike', async (format, options) => {
  const args = createArgs(format, options);
  expect(await ours(folders.ours, ...args)).toEqual(await theirs(folders.theirs, ...args));
  for (const look of LOOKS) {
    const command = [...look, '-f', format, 'image'];
    const [seenTheirs, seenOurs] = await Promise.all([
      seenAlike(folders.theirs, command),
      seenAlike(folders.ours, command),
    ]);
    if (look[0] === 'map' && OWN_HOLES.has(`${format} ${options}`)) continue;
    expect({ look, ...withoutOwnChoices(seenOurs) }).toEqual({ look, ...withoutOwnChoices(seenTheirs) });
  }
});

/** What both programs say of the image in the folder. */
async function seenAlike(folder: string, command: readonly string[]): Promise<Ended> {
  const mine = comparable(await ours(folder, ...command));
  const expected = comparable(await theirs(folder, ...command));
  expect({ command, ...mine }).toEqual({ command, ...expected });
  return expected;
}

test.each(cases(REFUSED))('create -f %s -o "%s" is refused as by theirs', async (format, options) => {
  const args = createArgs(format, options);
  expect(await ours(folders.ours, ...args)).toEqual(await theirs(folders.theirs, ...args));
});
