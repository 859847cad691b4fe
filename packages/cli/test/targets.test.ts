import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { targetProfiles } from '@diskmorph/disk-image';
import { runCommand } from '../../../fixtures/command.ts';
import { diskmorph, diskmorphJson, SAMPLE } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const MiB = 2 ** 20;
const ODD_SIZE = 64 * MiB + 1536;
/** What qemu-img calls the formats. */
const QEMU_NAMES: Readonly<Record<string, string>> = { vhd: 'vpc' };
/** Formats that qemu-img can check. */
const CHECKED: ReadonlySet<string> = new Set(['qcow2', 'vdi', 'vhdx', 'vmdk']);

const scratch = useScratch();

beforeAll(async () => {
  await scratch.qemuImg('convert', '-O', 'raw', SAMPLE, 'odd.raw');
  const file = await open(scratch.path('odd.raw'), 'r+');
  await file.truncate(ODD_SIZE);
  await file.close();
});

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}

describe.each(targetProfiles)('for $name', ({ name, output }) => {
  const target = `${name}.${output.extension}`;

  test('a disk of an odd size becomes what the target takes', async () => {
    const run = await diskmorphJson('convert', '--for', name, scratch.path('odd.raw'), scratch.path(target));
    expect(run).toMatchObject({ target: name, verified: true, replaced: {}, lint: { target: name } });
    const lint = await diskmorphJson('lint', '--for', name, scratch.path(target));
    expect(lint).toMatchObject({ target: name, file: scratch.path(target) });
    expect(lint['findings']).toEqual([]);
  });

  test('qemu-img finds the same disk in it', async () => {
    const { format, packing, sizeMultiple = 512 } = output;
    const file = packing === undefined ? target : 'disk.raw';
    if (packing !== undefined) await runCommand('tar', ['-xzf', scratch.path(target), '-C', scratch.path('.')]);
    const driver = QEMU_NAMES[format] ?? format;
    const info = JSON.parse(await scratch.qemuImg('info', '-f', driver, '--output=json', file));
    expect(info['virtual-size'] % sizeMultiple).toBe(0);
    expect(info['virtual-size']).toBeGreaterThanOrEqual(ODD_SIZE);
    if (CHECKED.has(format)) await scratch.qemuImg('check', '-f', driver, file);
    expect(await scratch.qemuImg('compare', '-f', 'raw', '-F', driver, 'odd.raw', file)).toContain('identical');
  });
});

test.each([
  { made: ['-O', 'vpc', '-o', 'subformat=fixed'], target: 'azure', rules: ['azure-whole-mib'], code: 2 },
  { made: ['-O', 'vpc', '-o', 'subformat=dynamic'], target: 'azure', rules: ['azure-fixed-vhd'], code: 2 },
  { made: ['-O', 'vpc', '-o', 'subformat=dynamic'], target: 'xcpng', rules: ['xcpng-not-vpc'], code: 3 },
  { made: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'], target: 'esxi', rules: ['esxi-scsi'], code: 3 },
  { made: ['-O', 'vmdk'], target: 'aws', rules: ['aws-format'], code: 2 },
  {
    made: ['-O', 'qcow2', '-o', 'extended_l2=on'],
    target: 'openstack-qemu',
    rules: ['openstack-no-extended-l2'],
    code: 2,
  },
  { made: ['-O', 'qcow2'], target: 'openstack-ceph', rules: ['ceph-raw'], code: 2 },
  { made: ['-O', 'raw'], target: 'gcp', rules: ['gcp-packed', 'gcp-whole-gib'], code: 2 },
  { made: ['-O', 'raw'], target: 'digitalocean', rules: [], code: 0 },
])('lint tells what $target makes of $made by qemu-img', async ({ made, target, rules, code }) => {
  await scratch.qemuImg('convert', '-f', 'raw', ...made, 'odd.raw', 'made');
  const run = await diskmorph('lint', '--for', target, scratch.path('made'));
  expect(run).toMatchObject({ code, err: '' });
  for (const rule of rules) expect(run.out).toContain(rule);
  const quiet = await diskmorph('lint', '--quiet', '--for', target, scratch.path('made'));
  expect(quiet).toMatchObject({ code, out: '', err: '' });
});

test("an option replaces the profile's, is named, and the target's refusal is the exit code", async () => {
  const args = ['convert', '--for', 'esxi', '-o', 'subformat=monolithicSparse', SAMPLE];
  const run = await diskmorph(...args, scratch.path('replaced.vmdk'));
  expect(run).toMatchObject({ code: 2, err: '' });
  expect(run.out).toContain('replaced subformat=streamOptimized');
  expect(run.out).toContain('esxi-stream-optimized');
});

test('what no conversion mends is refused before anything is written, unless it is allowed', async () => {
  const args = ['convert', '--for', 'azure', scratch.path('small.raw'), scratch.path('small.vhd')];
  await scratch.qemuImg('create', '-q', '-f', 'raw', 'small.raw', '2M');
  const refused = await diskmorph(...args);
  expect(refused).toMatchObject({ code: 11, out: '' });
  expect(refused.err).toContain('azure-smallest');
  await expect(stat(scratch.path('small.vhd'))).rejects.toThrow('ENOENT');
  expect(await diskmorph(...args, '--allow', 'azure-smallest')).toMatchObject({ code: 0 });
});

test('a packed target exists already, or is cancelled: nothing is left behind', async () => {
  await mkdir(scratch.path('packed'));
  const args = ['convert', '--for', 'gcp', SAMPLE, scratch.path('packed/image.tar.gz')];
  expect(await diskmorph(...args)).toMatchObject({ code: 0 });
  expect(await diskmorph(...args)).toMatchObject({ code: 16 });
  expect(await diskmorph(...args, '--force')).toMatchObject({ code: 0 });
  expect(await readdir(scratch.path('packed'))).toEqual(['image.tar.gz']);
});

test('targets lists every profile and the rules of one', async () => {
  const list = await diskmorph('targets');
  for (const { name } of targetProfiles) expect(list.out).toContain(`  ${name} `);
  const { out } = await diskmorph('targets', 'azure', '--json');
  expect(JSON.parse(out)).toMatchObject([
    { name: 'azure', rules: [{ id: 'unpacked' }, { id: 'sound' }, {}, {}, {}, {}, {}, {}] },
  ]);
});

test('several outputs come from one read, each with its checksum', async () => {
  await mkdir(scratch.path('several'));
  await scratch.qemuImg('convert', '-O', 'qcow2', SAMPLE, 'several/in.qcow2');
  const at = (name: string): string => scratch.path(`several/${name}`);
  const outputs = ['raw', 'vmdk:streamOptimized', 'vhd:fixed', `qcow2,compression=zlib=${at('a=b,c')}`];
  const args = [...outputs, 'vmdk:twoGbMaxExtentSparse'].flatMap((output) => ['--to', output]);
  const report = await diskmorphJson('convert', at('in.qcow2'), ...args);
  const digest = await diskmorphJson('digest', SAMPLE);
  expect(report).toMatchObject({ contentId: digest['contentId'], verified: true });
  const targets = report['targets'] as readonly {
    readonly files: readonly { path: string; checksums: { sha256: string } }[];
  }[];
  const files = targets.flatMap((target) => target.files);
  expect(targets.map((target) => target.files.at(-1)?.path)).toEqual(
    ['in.raw', 'in.vmdk', 'in.vhd', 'a=b,c', 'in.twoGbMaxExtentSparse.vmdk'].map(at),
  );
  for (const file of files) expect(file.checksums.sha256).toBe(await sha256(file.path));
  const [, , , , split] = targets;
  expect(split?.files.length).toBe(2);
  for (const [driver, file] of [
    ['raw', 'in.raw'],
    ['vmdk', 'in.vmdk'],
    ['qcow2', 'a=b,c'],
  ] as const) {
    expect(await scratch.qemuImg('compare', '-F', driver, SAMPLE, at(file))).toContain('identical');
  }
});

test('outputs for targets and others come from one read, each as its target wants it', async () => {
  await mkdir(scratch.path('mixed'));
  const at = (name: string): string => scratch.path(`mixed/${name}`);
  await scratch.qemuImg('convert', '-O', 'qcow2', 'odd.raw', 'mixed/in.qcow2');
  const args = ['--to', 'raw', '--for', 'azure', '--for', `gcp=${at('disk.tar.gz')}`, '--for', 'hyperv'];
  const report = await diskmorphJson('convert', at('in.qcow2'), ...args);
  const targets = report['targets'] as readonly {
    readonly target?: string;
    readonly lint?: { readonly findings: readonly unknown[] };
    readonly files: readonly { readonly path: string; readonly checksums: { readonly sha256: string } }[];
  }[];
  expect(targets.map(({ target, lint }) => [target, lint?.findings])).toEqual([
    [undefined, undefined],
    ['azure', []],
    ['gcp', []],
    ['hyperv', []],
  ]);
  const files = targets.flatMap((target) => target.files);
  const names = ['in.raw', 'in.azure.vhd', 'disk.tar.gz', 'in.hyperv.vhdx'];
  expect(files.map(({ path }) => path)).toEqual(names.map(at));
  for (const file of files) expect(file.checksums.sha256).toBe(await sha256(file.path));
  for (const file of files) expect(await diskmorph('compare', at('in.qcow2'), file.path)).toMatchObject({ code: 0 });
  expect((await readdir(scratch.path('mixed'))).sort()).toEqual(['in.qcow2', ...names].sort());
  const dense = await stat(at('in.hyperv.vhdx'));
  expect(dense.blocks * 512).toBeGreaterThanOrEqual(dense.size);
});

test('of several outputs the summary says what each target will say', async () => {
  const run = await diskmorph(
    'convert',
    SAMPLE,
    '--for',
    `oci=${scratch.path('o.qcow2')}`,
    '--to',
    `vdi=${scratch.path('o.vdi')}`,
  );
  expect(run).toMatchObject({ code: 0, err: '' });
  expect(run.out).toMatch(/2 images from one read[^]*For Oracle Cloud Infrastructure: [^]*oci os object put/);
});

test('one target that would refuse the disk stops all outputs', async () => {
  await scratch.qemuImg('create', '-q', '-f', 'raw', 'tiny.raw', '2M');
  const run = await diskmorph('convert', scratch.path('tiny.raw'), '--to', 'qcow2', '--for', 'azure');
  expect(run).toMatchObject({ code: 11, out: '' });
  expect((await readdir(scratch.path('.'))).filter((name) => name.startsWith('tiny.'))).toEqual(['tiny.raw']);
});

test.each([
  { args: ['--to', 'vdi:static', 'x.qcow2'], says: 'vdi has no subformats' },
  { args: ['--to', 'raw', '--to', 'raw', 'x.qcow2'], says: '--to raw needs a path' },
  { args: ['--to', 'qcow2', 'x.qcow2'], says: '--to qcow2 needs a path' },
  { args: ['--to', 'raw', '-O', 'raw', 'x.qcow2'], says: 'leave --output-format away' },
  { args: ['--to', ',a=b', 'x.qcow2'], says: 'is not FORMAT' },
  { args: ['--for', 'azure', '--for', 'azure', 'x.qcow2'], says: '--for azure needs a path' },
  { args: ['--for', 'azure', '--for', 'nowhere', 'x.qcow2'], says: 'There is no target "nowhere"' },
  { args: ['--to', 'raw', '--for', 'gcp', '--checkpoint', 'd', 'x.qcow2'], says: 'does not work with --for gcp' },
  { args: ['--for', 'azure', '--for', 'aws', '-o', 'a=b', 'x.qcow2'], says: 'leave --options away' },
  { args: ['--to', 'raw', 'x.qcow2', 'y'], says: 'one argument too many' },
  { args: ['--for', 'azure', '-O', 'raw', 'x.qcow2', 'y'], says: 'leave -O away' },
  { args: ['--for', 'azur', 'x.qcow2', 'y'], says: 'did you mean azure?' },
  { args: ['--for', 'gcp', '--checkpoint', 'w', 'x.qcow2', 'y'], says: '--checkpoint does not work' },
  { args: ['-O', 'raw', 'x.qcow2'], says: 'DST is missing' },
])('convert $args is a usage error', async ({ args, says }) => {
  const run = await diskmorph('convert', ...args);
  expect(run).toMatchObject({ code: 64, out: '' });
  expect(run.err).toContain(says);
});

test('two outputs never write the same file', async () => {
  const args = ['--to', `vmdk:monolithicFlat=${scratch.path('b.vmdk')}`, '--to', `raw=${scratch.path('b-flat.vmdk')}`];
  const run = await diskmorph('convert', SAMPLE, ...args);
  expect(run).toMatchObject({ code: 15, out: '' });
  expect(run.err).toContain('b-flat.vmdk');
});

test('a plan for several outputs writes nothing', async () => {
  const run = await diskmorph(
    'convert',
    '--plan',
    SAMPLE,
    '--to',
    `raw=${scratch.path('p.raw')}`,
    '--to',
    'vhdx=p.vhdx',
  );
  expect(run).toMatchObject({ code: 0, err: '' });
  expect(run.out.match(/nothing is written/g)?.length).toBe(2);
  await expect(stat(scratch.path('p.raw'))).rejects.toThrow('ENOENT');
});
