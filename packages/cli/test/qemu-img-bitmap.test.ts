import { execFile } from 'node:child_process';
import { access, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import { rangesOf, withInUse } from '../../disk-image/test/qcow2-bitmap-bits.ts';
import { useLoopDevices } from '../../../fixtures/loop-device.ts';
import type { Ended } from './qemu-img-run.ts';
import { comparable, ours, QEMU_IMG_BIN, run, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
const loops = useLoopDevices();

async function io(folder: string, file: string, ...commands: readonly string[]): Promise<void> {
  const qemuIo = await requirePackage('qemu-io', 'qemu-utils');
  await promisify(execFile)(qemuIo, [...commands.flatMap((command) => ['-c', command]), file], { cwd: folder });
}

async function markInUse(folder: string, image: string, name: string): Promise<void> {
  const path = join(folder, image);
  await writeFile(path, await withInUse(new Uint8Array(await readFile(path)), name));
}

/** Images with bitmaps of every kind, the same each time. */
async function startIn(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const img = async (...args: readonly string[]): Promise<void> => {
    const { code, err } = await theirs(folder, ...args);
    expect({ args, code, err }).toEqual({ args, code: 0, err: '' });
  };
  const create = (...args: readonly string[]): Promise<void> => img('create', '-q', '-f', 'qcow2', ...args);
  await create('a.qcow2', '8M');
  await io(folder, 'a.qcow2', 'write -P 7 0 200k');
  await img('snapshot', '-c', 'one', 'a.qcow2');
  await img('bitmap', '--add', 'a.qcow2', 'b0');
  await img('bitmap', '--add', '-g', '4k', 'a.qcow2', 'b1');
  await img('bitmap', '--add', '--disable', 'a.qcow2', 'b2');
  await io(folder, 'a.qcow2', 'write -P 1 1M 1M', 'write -z 3M 64k', 'write -P 3 8191k 1k');
  await copyFile(join(folder, 'a.qcow2'), join(folder, 'broken.qcow2'));
  await markInUse(folder, 'broken.qcow2', 'b0');
  await markInUse(folder, 'broken.qcow2', 'b2');
  await create('none.qcow2', '8M');
  await create('-o', 'compat=0.10', 'v2.qcow2', '8M');
  await create('-o', 'cluster_size=4k', 'own.qcow2', '8M');
  await img('bitmap', '--add', '-g', '64k', 'own.qcow2', 'mine');
  await create('-o', 'cluster_size=512', 'taken.qcow2', '8M');
  await img('bitmap', '--add', 'taken.qcow2', 'b1');
  await create('large.qcow2', '16M');
  await create('base.qcow2', '8M');
  await io(folder, 'base.qcow2', 'write -P 5 0 2M');
  await create('-b', 'base.qcow2', '-F', 'qcow2', 'over.qcow2');
  await img('bitmap', '--add', 'base.qcow2', 'below');
  await img('bitmap', '--add', 'over.qcow2', 'above');
  await io(folder, 'over.qcow2', 'write -P 2 1M 100k', 'write -z 1536k 64k', 'write -P 4 4M 64k');
  await img('create', '-q', '-f', 'raw', 'disk.raw', '8M');
}

/** Images that commands change. */
const IMAGES = ['a.qcow2', 'broken.qcow2', 'none.qcow2', 'own.qcow2', 'taken.qcow2', 'base.qcow2', 'over.qcow2', 'new'];

/** Each command with what both programs must agree on; the images that it names and their bits are compared after it. */
const SEQUENCES: readonly { readonly name: string; readonly lines: readonly string[] }[] = [
  {
    name: 'convert',
    lines: [
      'convert --bitmaps -O qcow2 a.qcow2 new',
      'convert --bitmaps -c -O qcow2 a.qcow2 new',
      'convert --bitmaps -O qcow2 -o cluster_size=512 a.qcow2 new',
      'convert --bitmaps -O qcow2 -o cluster_size=2M,preallocation=metadata a.qcow2 new',
      'convert --bitmaps -l one -O qcow2 a.qcow2 new',
      'convert --bitmaps -O qcow2 none.qcow2 new',
      'convert --bitmaps -O qcow2 over.qcow2 new',
      'convert --bitmaps -B base.qcow2 -F qcow2 -O qcow2 a.qcow2 new',
      'convert --bitmaps --image-opts -O qcow2 driver=qcow2,file.driver=file,file.filename=a.qcow2 new',
      'convert --bitmaps --skip-broken-bitmaps -O qcow2 broken.qcow2 new',
    ],
  },
  {
    name: 'convert refused',
    lines: [
      'convert --bitmaps -O qcow2 broken.qcow2 new',
      'convert --bitmaps -O raw broken.qcow2 new',
      'convert --skip-broken-bitmaps -O qcow2 broken.qcow2 new',
      'convert --bitmaps -O qcow2 v2.qcow2 new',
      'convert --bitmaps -O qcow2 disk.raw new',
      'convert --bitmaps -f raw -O qcow2 a.qcow2 new',
      'convert --bitmaps -O raw disk.raw new',
      'convert --bitmaps -O qcow2 a.qcow2 a.qcow2 new',
      'convert --bitmaps -O qcow2 disk.raw disk.raw new',
      'convert --bitmaps -n -O qcow2 a.qcow2 v2.qcow2',
      'convert --bitmaps -n -O raw a.qcow2 disk.raw',
      'convert --bitmaps -n -O qcow2 disk.raw nowhere',
      'convert --bitmaps -n -O qcow2 a.qcow2 large.qcow2',
    ],
  },
  {
    name: 'convert into an image',
    lines: [
      'convert --bitmaps -n -O qcow2 a.qcow2 own.qcow2',
      'convert --bitmaps -n --target-is-zero -O qcow2 a.qcow2 none.qcow2',
      'convert -n --target-is-zero -O qcow2 over.qcow2 none.qcow2',
      'convert -n -O qcow2 over.qcow2 none.qcow2',
      'convert --bitmaps --skip-broken-bitmaps -n -O qcow2 broken.qcow2 base.qcow2',
    ],
  },
  {
    name: 'bitmap across files',
    lines: [
      'bitmap --merge b1 -b a.qcow2 -F qcow2 own.qcow2 mine',
      'bitmap --merge b0 --merge b1 --merge b2 -b a.qcow2 taken.qcow2 b1',
      'bitmap --add -g 1M --merge b1 --disable -b a.qcow2 own.qcow2 coarse',
      'bitmap --merge coarse own.qcow2 mine',
      'bitmap --merge mine own.qcow2 mine',
      'bitmap --merge mine --clear own.qcow2 coarse',
      'bitmap --merge nope -b a.qcow2 own.qcow2 mine',
      'bitmap --merge b1 -b a.qcow2 own.qcow2 nope',
      'bitmap --merge b1 -b nope own.qcow2 mine',
      'bitmap --merge b1 -b a.qcow2 -F blah own.qcow2 mine',
      'bitmap --merge b1 -b a.qcow2 -F raw own.qcow2 mine',
      'bitmap --merge b1 -F qcow2 own.qcow2 mine',
      'bitmap --clear -b a.qcow2 own.qcow2 mine',
      'bitmap --clear -g 4k -b a.qcow2 own.qcow2 mine',
      'bitmap --merge b1 -b disk.raw own.qcow2 mine',
      'bitmap --merge b0 -b broken.qcow2 own.qcow2 mine',
      'bitmap --merge b1 -b broken.qcow2 own.qcow2 mine',
      'bitmap --merge mine -b own.qcow2 large.qcow2 x',
      'bitmap --add --merge mine -b own.qcow2 large.qcow2 x',
      'bitmap --image-opts --merge b1 --source-file a.qcow2 driver=qcow2,file.filename=own.qcow2 mine',
    ],
  },
  {
    name: 'bitmap',
    lines: [
      'bitmap --add own.qcow2 default',
      'bitmap --add taken.qcow2 default',
      'bitmap --add -g 0 own.qcow2 zero',
      'bitmap --add --granularity=512 own.qcow2 fine',
      'bitmap --add -g 2G own.qcow2 whole',
      'bitmap --add -g 4G own.qcow2 x',
      'bitmap --add -g 256 own.qcow2 x',
      'bitmap --add -g 513 own.qcow2 x',
      'bitmap --add -g x own.qcow2 x',
      'bitmap --add -g x',
      'bitmap --add --add own.qcow2 twice',
      'bitmap --remove --remove own.qcow2 twice',
      'bitmap --remove --add -g 8k own.qcow2 zero',
      'bitmap --enable --disable --enable own.qcow2 zero',
      'bitmap --add --merge nope own.qcow2 half',
      'bitmap --merge half --add own.qcow2 later',
      'bitmap own.qcow2 x',
      'bitmap --add own.qcow2',
      'bitmap --add own.qcow2 x y',
      'bitmap --add nope x',
      'bitmap --frob own.qcow2 x',
      'bitmap --remove v2.qcow2 x',
      'bitmap --add -f raw -g 3 disk.raw x',
      'bitmap --remove -f raw disk.raw x',
      'bitmap --add broken.qcow2 b0',
      'bitmap --clear broken.qcow2 b0',
      'bitmap --enable broken.qcow2 b0',
      'bitmap --merge b0 broken.qcow2 b1',
      'bitmap --merge b1 broken.qcow2 b0',
      'bitmap --clear broken.qcow2 b1',
      'bitmap --remove broken.qcow2 b0',
      'bitmap --remove broken.qcow2 b2',
    ],
  },
  {
    name: 'changes of images with bitmaps',
    lines: [
      'snapshot -a one a.qcow2',
      'snapshot -a nope a.qcow2',
      'snapshot -a one broken.qcow2',
      'snapshot -c two a.qcow2',
      'snapshot -d one a.qcow2',
      'resize a.qcow2 9M',
      'resize --shrink a.qcow2 1600k',
      'resize a.qcow2 +7M',
      'amend -o size=10M a.qcow2',
      'amend -o lazy_refcounts=on,refcount_bits=32 a.qcow2',
      'resize broken.qcow2 9M',
      'resize --shrink broken.qcow2 1M',
      'amend -o size=9M broken.qcow2',
      'rebase -u -b base.qcow2 -F qcow2 over.qcow2',
      'rebase -b none.qcow2 -F qcow2 over.qcow2',
      'rebase -b base.qcow2 -F qcow2 over.qcow2',
      'commit over.qcow2',
      'commit -d over.qcow2',
      'rebase -b  over.qcow2',
    ],
  },
];

test.each(SEQUENCES)('$name: the same answers, images and bits', async ({ name, lines }) => {
  const folders = { ours: scratch.path(`${name}-ours`), theirs: scratch.path(`${name}-theirs`) };
  await Promise.all([startIn(folders.ours), startIn(folders.theirs)]);
  for (const line of lines) {
    const args = line.split(' ');
    const expected = withoutWarning(comparable(await theirs(folders.theirs, ...args)));
    expect({ line, ...comparable(await ours(folders.ours, ...args)) }).toEqual({ line, ...expected });
    await expectSameBitmaps(folders, { line, isFailure: expected.code !== 0 });
  }
});

/** What `resize` and the like say when they probe a raw image. */
function withoutWarning(ended: Ended): Ended {
  return { ...ended, err: ended.err.replaceAll(/^(WARNING: Image format|  {8}).*\n/gm, '') };
}

async function expectSameBitmaps(
  folders: { readonly ours: string; readonly theirs: string },
  { line, isFailure }: { readonly line: string; readonly isFailure: boolean },
): Promise<void> {
  const named = IMAGES.filter((image) => line.includes(image) || (line.startsWith('commit') && image === 'base.qcow2'));
  for (const image of named) {
    if (!(await exists(join(folders.ours, image)))) {
      // What fails leaves no target here, and a broken one there.
      expect({ line, image, isFailure: isFailure || !(await exists(join(folders.theirs, image))) }).toMatchObject({
        isFailure: true,
      });
      continue;
    }
    expect({ line, image, ...(await theirs(folders.ours, 'check', '-q', image)) }).toMatchObject({ code: 0, err: '' });
    const found = await Promise.all([bitmapsOf(folders.ours, image), bitmapsOf(folders.theirs, image)]);
    expect({ line, image, found: found[0] }).toEqual({ line, image, found: found[1] });
    if (isFailure) continue;
    const compared = await theirs(folders.ours, 'compare', image, `${folders.theirs}/${image}`);
    expect({ line, image, out: compared.out }).toEqual({ line, image, out: 'Images are identical.\n' });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** All that `info` of QEMU's program says, and the guest bytes that each bitmap stands for. */
async function bitmapsOf(folder: string, image: string): Promise<unknown> {
  const { out } = comparable(await theirs(folder, 'info', '--output=json', image));
  const info = JSON.parse(out.replaceAll(/"actual-size": N/g, '"actual-size": 0')) as {
    snapshots?: unknown;
    'format-specific': { data: { bitmaps?: readonly { readonly name: string }[] } };
  };
  delete info.snapshots;
  const bytes = new Uint8Array(await readFile(join(folder, image)));
  const listed = info['format-specific'].data.bitmaps ?? [];
  const ranges = await Promise.all(listed.map(({ name }) => rangesOf(bytes, name)));
  return { info, ranges };
}

test('a target is there with its bitmaps or not at all', async () => {
  const folder = scratch.path('whole');
  await startIn(folder);
  await writeFile(join(folder, 'new'), 'what was there');
  expect((await ours(folder, 'convert', '--bitmaps', '-O', 'qcow2', 'broken.qcow2', 'new')).code).toBe(1);
  expect(await readFile(join(folder, 'new'), 'utf8')).toBe('what was there');
});

test('a converted image is verified before it gets its bitmaps', async () => {
  const folder = scratch.path('verified');
  await startIn(folder);
  const line = ['convert', '--bitmaps', '-O', 'qcow2', 'a.qcow2', 'new'];
  expect(await run(QEMU_IMG_BIN, line, folder, { DISKMORPH_VERIFY: '1' })).toEqual({ code: 0, out: '', err: '' });
  expect(await rangesOf(new Uint8Array(await readFile(join(folder, 'new'))), 'b0')).toEqual([
    [2 ** 20, 2 ** 21],
    [3 * 2 ** 20, 3 * 2 ** 20 + 65536],
    [2 ** 23 - 65536, 2 ** 23],
  ]);
});

test('what cannot hold bitmaps is told in words that name no block device', async () => {
  const folder = scratch.path('words');
  await startIn(folder);
  const cases = [
    ['bitmap', '--add', '-f', 'raw', 'disk.raw', 'x'],
    ['bitmap', '--add', 'v2.qcow2', 'x'],
    ['bitmap', '--add', 'own.qcow2', 'n'.repeat(1024)],
  ];
  for (const args of cases) {
    const expected = (await theirs(folder, ...args)).err.replace(/#block\d+/, args.at(-2) ?? '');
    expect(await ours(folder, ...args)).toEqual({ code: 1, out: '', err: expected });
  }
});

test('a commit into a smaller image with a broken bitmap is refused', async () => {
  const folder = scratch.path('refused');
  await startIn(folder);
  await theirs(folder, 'create', '-q', '-f', 'qcow2', '-b', 'broken.qcow2', '-F', 'qcow2', 'larger.qcow2', '16M');
  const { code, err } = await theirs(folder, 'commit', 'larger.qcow2');
  const own = await ours(folder, 'commit', 'larger.qcow2');
  expect({ code: own.code, err: own.err.startsWith(err.trimEnd()) }).toEqual({ code, err: true });
});

test('bitmaps go onto a device', async () => {
  const folder = scratch.path('device');
  await startIn(folder);
  const device = await loops.make(scratch.path('device.img'), 2 ** 26);
  const done = { code: 0, out: '', err: '' };
  expect(await ours(folder, 'convert', '--bitmaps', '-O', 'qcow2', 'a.qcow2', device)).toEqual(done);
  expect(await ours(folder, 'bitmap', '--add', '--merge', 'b1', '-f', 'qcow2', device, 'b3')).toEqual(done);
  expect(await theirs(folder, 'check', '-q', '-f', 'qcow2', device)).toEqual(done);
  const bytes = new Uint8Array(await readFile(device));
  expect(await rangesOf(bytes, 'b3')).toEqual(await rangesOf(bytes, 'b0'));
});
