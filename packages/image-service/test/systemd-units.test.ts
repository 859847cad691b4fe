/** The units of `deploy/systemd`, by the real systemd. That they run was tried by hand: `deploy/systemd/try.sh`. */
import { chmod, copyFile, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';

const DEPLOY = join(import.meta.dirname, '..', '..', '..', 'deploy', 'systemd');
const UNITS = ['diskmorph.service', 'diskmorph-worker.service'];
/** Tenths of systemd's points: 0 is locked up, 100 is wide open, and below 20 it calls a service OK. */
const EXPOSURE_LIMIT = '15';

let analyze: string;
/** A system that has the units, the program, and Debian's own units. */
let root: string;
beforeAll(async () => {
  analyze = await requirePackage('systemd-analyze', 'systemd');
  root = await mkdtemp(join(tmpdir(), 'diskmorph-units-'));
  for (const place of ['usr/bin', 'usr/lib/systemd', 'etc/systemd/system']) {
    await mkdir(join(root, place), { recursive: true });
  }
  await cp('/usr/lib/systemd/system', join(root, 'usr/lib/systemd/system'), { recursive: true });
  await symlink('usr/lib', join(root, 'lib'));
  await writeFile(join(root, 'usr/bin/diskmorph'), '#!/bin/sh\n');
  await chmod(join(root, 'usr/bin/diskmorph'), 0o755);
  for (const unit of UNITS) await copyFile(join(DEPLOY, unit), join(root, 'etc/systemd/system', unit));
}, 300_000);
afterAll(() => rm(root, { recursive: true, force: true }));

async function runAnalyze(
  ...parameters: readonly string[]
): Promise<{ readonly code: unknown; readonly said: string }> {
  const child = spawn(analyze, parameters, { stdio: ['ignore', 'pipe', 'pipe'], env: { LC_ALL: 'C' } });
  const [out, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, said: out + complaint };
}

test.each(UNITS)('%s says nothing that systemd does not know', async (unit) => {
  expect(await runAnalyze('verify', '--man=no', `--root=${root}`, unit)).toEqual({ code: 0, said: '' });
});

test.each(UNITS)('%s is locked up', async (unit) => {
  const path = join(DEPLOY, unit);
  const { code, said } = await runAnalyze(
    'security',
    '--no-pager',
    '--offline=true',
    `--threshold=${EXPOSURE_LIMIT}`,
    path,
  );
  expect(code, said).toBe(0);
});
