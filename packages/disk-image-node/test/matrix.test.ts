import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import { bochsOf, cloopOf } from '../../disk-image/test/old-formats.ts';
import { convertFiles } from '../src/index.ts';
import { writeSparseDisk } from './sparse-disk.ts';

/** The disk behind every source: whole MiB, so that no format has to round it but those that count cylinders. */
const SIZE = 6 * 2 ** 20;
let folder = '';
let qemuImg = '';
const at = (name: string): string => path.join(folder, name);

/** Sources that qemu-img makes: our name for the format, qemu-img's, its options. */
const MADE = {
  qcow2: ['qcow2', 'qcow2'],
  'qcow2 version 2': ['qcow2', 'qcow2', '-o', 'compat=0.10'],
  'qcow2 zlib': ['qcow2', 'qcow2', '-c'],
  'qcow2 zstd': ['qcow2', 'qcow2', '-c', '-o', 'compression_type=zstd'],
  'qcow2 extended L2': ['qcow2', 'qcow2', '-o', 'extended_l2=on'],
  'vmdk monolithicSparse': ['vmdk', 'vmdk'],
  'vmdk streamOptimized': ['vmdk', 'vmdk', '-o', 'subformat=streamOptimized'],
  'vmdk monolithicFlat': ['vmdk', 'vmdk', '-o', 'subformat=monolithicFlat'],
  'vmdk twoGbMaxExtentSparse': ['vmdk', 'vmdk', '-o', 'subformat=twoGbMaxExtentSparse'],
  'vmdk twoGbMaxExtentFlat': ['vmdk', 'vmdk', '-o', 'subformat=twoGbMaxExtentFlat'],
  'vhd dynamic': ['vhd', 'vpc', '-o', 'force_size=on'],
  'vhd fixed': ['vhd', 'vpc', '-o', 'subformat=fixed,force_size=on'],
  'vhdx dynamic': ['vhdx', 'vhdx'],
  'vhdx fixed': ['vhdx', 'vhdx', '-o', 'subformat=fixed'],
  'vdi dynamic': ['vdi', 'vdi'],
  'vdi static': ['vdi', 'vdi', '-o', 'static=on'],
  qed: ['qed', 'qed'],
  parallels: ['parallels', 'parallels'],
  'qcow (version 1)': ['qcow', 'qcow'],
} as const;
const SOURCES = ['raw', ...Object.keys(MADE), 'bochs', 'cloop'];

/** Targets: our format and options, qemu-img's name, and whether its check knows the format. */
const TARGETS = [
  { format: 'raw', options: {}, peer: 'raw', checked: false },
  { format: 'qcow2', options: {}, peer: 'qcow2', checked: true },
  { format: 'qcow2', options: { compat: '0.10', compression: 'zlib' }, peer: 'qcow2', checked: true },
  { format: 'qcow2', options: { extended_l2: 'on' }, peer: 'qcow2', checked: true },
  { format: 'qcow2', options: { compression: 'zstd', cluster_size: '2M' }, peer: 'qcow2', checked: true },
  { format: 'vmdk', options: {}, peer: 'vmdk', checked: true },
  { format: 'vmdk', options: { subformat: 'streamOptimized' }, peer: 'vmdk', checked: true },
  { format: 'vmdk', options: { subformat: 'monolithicFlat' }, peer: 'vmdk', checked: true },
  { format: 'vmdk', options: { subformat: 'twoGbMaxExtentSparse' }, peer: 'vmdk', checked: true },
  { format: 'vmdk', options: { subformat: 'twoGbMaxExtentFlat' }, peer: 'vmdk', checked: true },
  { format: 'vhd', options: { force_size: 'on' }, peer: 'vpc', checked: false },
  { format: 'vhd', options: { subformat: 'fixed', force_size: 'on' }, peer: 'vpc', checked: false },
  { format: 'vhdx', options: {}, peer: 'vhdx', checked: true },
  { format: 'vhdx', options: { subformat: 'fixed' }, peer: 'vhdx', checked: true },
  { format: 'vdi', options: {}, peer: 'vdi', checked: true },
  { format: 'vdi', options: { static: 'on' }, peer: 'vdi', checked: true },
] as const;

beforeAll(async () => {
  qemuImg = await requireQemuImg();
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-matrix-'));
  await writeSparseDisk(at('raw'), SIZE, 0.4);
  for (const [name, [, peer, ...options]] of Object.entries(MADE)) {
    execFileSync(qemuImg, ['convert', '-f', 'raw', '-O', peer, ...options, at('raw'), at(name)]);
  }
  const guest = new Uint8Array(await readFile(at('raw')));
  await writeFile(at('bochs'), bochsOf(guest, 65_536));
  await writeFile(at('cloop'), cloopOf(guest, 65_536));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function sourceFile(name: string): { path: string; format: string; references: { directories: string[] } } {
  const format = MADE[name as keyof typeof MADE]?.[0] ?? name;
  return { path: at(name), format, references: { directories: [folder] } };
}

describe.each(SOURCES)('from %s', (name) => {
  test('to every target: equal by qemu-img compare, clean by qemu-img check', async () => {
    const targets = TARGETS.map(({ format, options }, i) => ({ path: at(`${i}-${format}.img`), format, options }));
    const report = await convertFiles({ source: sourceFile(name), targets, workers: 0 });
    expect(report.verified).toBe(true);
    for (const [index, { peer, checked }] of TARGETS.entries()) {
      const target = targets[index]?.path ?? '';
      const judged = execFileSync(qemuImg, ['compare', '-f', 'raw', '-F', peer, at('raw'), target], {
        encoding: 'utf8',
      });
      expect(judged).toContain('Images are identical.');
      const check = checked ? execFileSync(qemuImg, ['check', '-f', peer, target], { encoding: 'utf8' }) : 'No errors';
      expect(check).toContain('No errors');
    }
    await Promise.all(report.targets.flatMap(({ files }) => files.map((file) => rm(file.path))));
  });
});
