import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { Ended } from './qemu-img-run.ts';
import { comparable, ours, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

type Runner = (folder: string, ...args: readonly string[]) => Promise<Ended>;

/** Two qcow2 images, one that stands on the first, a raw disk and a VMDK; the same each time. */
async function startIn(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const qemuIo = await requirePackage('qemu-io', 'qemu-utils');
  const io = (file: string, ...commands: readonly string[]): Promise<unknown> =>
    promisify(execFile)(qemuIo, [...commands.flatMap((command) => ['-c', command]), file], { cwd: folder });
  await theirs(folder, 'create', '-q', '-f', 'qcow2', 'base.qcow2', '10M');
  await io('base.qcow2', 'write -P 1 0 1M');
  await theirs(folder, 'convert', '-O', 'qcow2', 'base.qcow2', 'base2.qcow2');
  await io('base2.qcow2', 'write -P 9 512k 2M');
  await theirs(folder, 'create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'over.qcow2');
  await io('over.qcow2', 'write -P 2 1M 1M', 'write -z 3M 64k');
  await theirs(folder, 'create', '-q', 'disk.raw', '1M');
  await theirs(folder, 'create', '-q', '-f', 'vmdk', 'disk.vmdk', '1M');
}

/** Each command with what both programs must agree on; images are compared after it. */
const SEQUENCES: readonly { readonly name: string; readonly lines: readonly string[] }[] = [
  {
    name: 'resize',
    lines: [
      'resize -f raw disk.raw 2M',
      'resize -f raw disk.raw 1M',
      'resize -f raw --shrink disk.raw 1M',
      'resize -q -f raw disk.raw +1M',
      'resize -f raw disk.raw -- -512',
      'resize -f raw --shrink disk.raw -512',
      'resize -f raw disk.raw 5X',
      'resize -f raw disk.raw +0',
      'resize -f raw disk.raw -- -100G',
      'resize --preallocation=full -f raw disk.raw 4M',
      'resize --preallocation=frob -f raw disk.raw 4M',
      'resize --preallocation=metadata -f raw disk.raw 5M',
      'resize --shrink --preallocation=full -f raw disk.raw 1M',
      'resize disk.vmdk 2M',
      'resize base.qcow2 20M',
      'resize base.qcow2 5M',
      'resize --shrink base.qcow2 5M',
      'resize base.qcow2',
      'resize nope 1M',
    ],
  },
  {
    name: 'snapshot',
    lines: [
      'snapshot -c one base.qcow2',
      'snapshot -c two base.qcow2',
      'snapshot -a one base.qcow2',
      'snapshot -a nope base.qcow2',
      'snapshot -d one base.qcow2',
      'snapshot -d two base.qcow2',
      'snapshot -l base.qcow2',
      'snapshot -l -c x base.qcow2',
      'snapshot -c x disk.vmdk',
      'snapshot -a x disk.vmdk',
      'snapshot -d x disk.vmdk',
    ],
  },
  {
    name: 'rebase and commit',
    lines: [
      'rebase -b base2.qcow2 -F qcow2 over.qcow2',
      'rebase -b base.qcow2 -F qcow2 over.qcow2',
      'rebase -u -b base2.qcow2 -F qcow2 over.qcow2',
      'rebase -b base2.qcow2 over.qcow2',
      'rebase -u -b base2.qcow2 over.qcow2',
      'rebase -b nope -F qcow2 over.qcow2',
      'rebase -u -b base.qcow2 -F blah over.qcow2',
      'rebase over.qcow2',
      'commit over.qcow2',
      'commit -d over.qcow2',
      'commit -q over.qcow2',
      'commit -b base2.qcow2 over.qcow2',
      'commit -b frob over.qcow2',
    ],
  },
  {
    name: 'amend and bitmap',
    lines: [
      'amend -o compat=0.10 base.qcow2',
      'amend -f qcow2 -o compat=1.1,lazy_refcounts=on base.qcow2',
      'amend -o cluster_size=4k base.qcow2',
      'amend -o foo=1 base.qcow2',
      'amend -p -o lazy_refcounts=off base.qcow2',
      'amend -o size=50M base.qcow2',
      'amend base.qcow2',
      'amend -o backing_file=base2.qcow2,backing_fmt=qcow2 over.qcow2',
      'bitmap --add base.qcow2 one',
      'bitmap --add base.qcow2 one',
      'bitmap --add -g 32k --disable base.qcow2 two',
      'bitmap --add -g 32k base.qcow2 three',
      'bitmap --merge three base.qcow2 two',
      'bitmap --remove base.qcow2 nope',
      'bitmap --clear --enable base.qcow2 one',
      'bitmap base.qcow2 one',
      'bitmap --add base.qcow2',
      'bitmap -g 3 --add base.qcow2 x',
      'bitmap -g 4k --clear base.qcow2 one',
      'bitmap --remove base.qcow2 one',
    ],
  },
];

test.each(SEQUENCES)('$name: the same answers, the same images, all of them whole', async ({ name, lines }) => {
  const folders = { ours: scratch.path(`${name}-ours`), theirs: scratch.path(`${name}-theirs`) };
  await Promise.all([startIn(folders.ours), startIn(folders.theirs)]);
  for (const line of lines) {
    const args = line.split(' ');
    const expected = comparable(await theirs(folders.theirs, ...args));
    expect({ line, ...comparable(await ours(folders.ours, ...args)) }).toEqual({ line, ...expected });
    await expectSameImages(folders, line);
  }
});

async function expectSameImages(
  folders: { readonly ours: string; readonly theirs: string },
  line: string,
): Promise<void> {
  for (const image of ['base.qcow2', 'base2.qcow2', 'over.qcow2']) {
    const facts: Runner = async (folder) => comparable(await theirs(folder, 'info', '--output=json', image));
    // A snapshot of ours does not claim a count of instructions, for no machine ran.
    const withoutDates = async (folder: string): Promise<string> =>
      (await facts(folder)).out.replaceAll(/"date-n?sec": \d+/g, '"date": D').replaceAll(/ *"icount": 0,\n/g, '');
    expect({ line, image, info: await withoutDates(folders.ours) }).toEqual({
      line,
      image,
      info: await withoutDates(folders.theirs),
    });
    expect({ line, image, ...(await theirs(folders.ours, 'check', '-q', image)) }).toMatchObject({
      line,
      image,
      code: 0,
    });
    const compared = await theirs(folders.ours, 'compare', image, `${folders.theirs}/${image}`);
    expect({ line, image, out: compared.out }).toEqual({ line, image, out: 'Images are identical.\n' });
  }
}
