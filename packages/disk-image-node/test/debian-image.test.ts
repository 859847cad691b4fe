import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireDiskFixture } from '../../../fixtures/disk-fixture.ts';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import { convertFile } from '../src/index.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-debian-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test(
  'a Debian root file system of 2 GiB goes round all formats and stays the same disk',
  { timeout: 900_000 },
  async () => {
    const qemuImg = await requireQemuImg();
    const fixture = await requireDiskFixture({
      sizeBytes: 2 * 2 ** 30,
      // debootstrap needs root; without it the files are those of this machine's own /usr.
      source: process.getuid?.() === 0 ? 'debootstrap' : 'usr',
      variants: ['qcow2-zlib'],
    });
    let source = { path: fixture.path('qcow2-zlib'), format: 'qcow2' };
    const ids = new Set<string | undefined>();
    for (const [step, format, options] of [
      [1, 'raw', {}],
      [2, 'vmdk', { subformat: 'streamOptimized' }],
      [3, 'qcow2', { compression: 'zstd' }],
      [4, 'raw', {}],
    ] as const) {
      const target = { path: path.join(folder, `step-${step}-${format}`), format, options };
      const report = await convertFile({ source, target, overwrite: true });
      expect(report.verified).toBe(true);
      ids.add(report.contentId);
      const judge = ['compare', '-f', format, '-F', 'raw', target.path, fixture.path('raw')];
      expect(execFileSync(qemuImg, judge, { encoding: 'utf8' })).toBe('Images are identical.\n');
      source = { path: target.path, format };
    }
    expect(ids.size).toBe(1);
  },
);
