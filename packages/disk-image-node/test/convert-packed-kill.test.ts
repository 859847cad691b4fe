/** Conversions of packed images that are killed and taken up again. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { packedBy, sparseTar } from '../../disk-image/test/packed.ts';
import { tarOf } from '../../disk-image/test/tar-archives.ts';
import { convertFile } from '../src/index.ts';
import type { ChildLine, PackedRequest } from './convert-packed-child.ts';
import { writeSparseDisk } from './sparse-disk.ts';

const MiB = 2 ** 20;
let folder = '';
const at = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'diskmorph-packed-'));
  await writeSparseDisk(at('disk.raw'), 24 * MiB, 0.7);
  const disk = await readFile(at('disk.raw'));
  await writeFile(at('disk.gz'), await packedBy('gzip', ['-1c'], disk));
  await writeFile(at('disk.tar'), await sparseTar('gnu', disk));
  const other = disk.map((byte) => byte ^ 0xff);
  const two = [
    { name: 'first.raw', content: disk },
    { name: 'other.raw', content: other },
  ];
  await writeFile(at('two.tar'), tarOf(two));
  await writeFile(at('two.tar.gz'), await packedBy('gzip', ['-1c'], tarOf(two)));
  await writeFile(at('other.raw'), other);
});

let kept: readonly string[];
beforeEach(async () => {
  kept = await readdir(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface ChildEnd {
  readonly lines: readonly ChildLine[];
  readonly signal: string | null;
}

type KillAt = (line: { readonly phase: string; readonly percent: number }) => boolean;

async function runChild(wanted: PackedRequest, killAt?: KillAt): Promise<ChildEnd> {
  const script = path.join(import.meta.dirname, 'convert-packed-child.ts');
  const child = spawn(process.execPath, ['--conditions=source', script, JSON.stringify(wanted)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<string | null>((resolve) => {
    child.on('close', (_code, signal) => resolve(signal));
  });
  const lines: ChildLine[] = [];
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as ChildLine;
    lines.push(line);
    if ('phase' in line && killAt?.(line) === true) child.kill('SIGKILL');
  }
  return { lines, signal: await ended };
}

function wanted(container: string, entry?: string): PackedRequest {
  return {
    container: at(container),
    target: { path: at('target.qcow2'), format: 'qcow2' },
    checkpoint: { path: at('work'), intervalBytes: 4 * MiB },
    ...(entry === undefined ? {} : { entry }),
  };
}

const sha256 = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

/** The digest of what the conversion of a raw disk gives. */
async function reference(disk: string): Promise<string> {
  await convertFile({
    source: { path: at(disk), format: 'raw' },
    target: { path: at('reference.qcow2'), format: 'qcow2' },
  });
  const digest = await sha256(at('reference.qcow2'));
  await rm(at('reference.qcow2'));
  return digest;
}

const during =
  (phase: string, percent: number): KillAt =>
  (line) =>
    line.phase === phase && line.percent >= percent;

const resumedFrom = ({ lines }: ChildEnd): number =>
  lines.flatMap((line) => ('report' in line ? [line.report.resumedFromBytes] : []))[0] ?? -1;
const unpacked = ({ lines }: ChildEnd): boolean => lines.some((line) => 'phase' in line && line.phase === 'unpack');

async function expectResult(disk: string): Promise<void> {
  expect(await sha256(at('target.qcow2'))).toBe(await reference(disk));
  await rm(at('target.qcow2'));
  expect(await readdir(folder)).toEqual(kept);
}

test('killed while it unpacks, it begins anew', async () => {
  const killed = await runChild(wanted('disk.gz'), during('unpack', 20));
  expect(killed.signal).toBe('SIGKILL');
  expect(await readdir(at('work'))).toEqual(['diskmorph-unpacked']);
  const ended = await runChild(wanted('disk.gz'));
  expect(resumedFrom(ended)).toBe(0);
  expect(unpacked(ended)).toBe(true);
  await expectResult('disk.raw');
});

describe.each([
  { container: 'disk.gz', entry: undefined },
  { container: 'disk.tar', entry: undefined },
  { container: 'two.tar.gz', entry: 'first.raw' },
])('$container killed while it copies, and while it verifies', ({ container, entry }) => {
  test('goes on from its checkpoint without unpacking again', async () => {
    const request = wanted(container, entry);
    expect((await runChild(request, during('copy', 60))).signal).toBe('SIGKILL');
    const killedAgain = await runChild(request, during('verify', 0));
    expect(killedAgain.signal).toBe('SIGKILL');
    expect(unpacked(killedAgain)).toBe(false);
    const ended = await runChild(request);
    expect(resumedFrom(ended)).toBeGreaterThan(0);
    expect(unpacked(ended)).toBe(false);
    await expectResult('disk.raw');
  });
});

test.each(['two.tar', 'two.tar.gz'])(
  'another disk of %s is not taken for the one that was begun',
  async (container) => {
    expect((await runChild(wanted(container, 'first.raw'), during('copy', 60))).signal).toBe('SIGKILL');
    const ended = await runChild(wanted(container, 'other.raw'));
    expect(resumedFrom(ended)).toBe(0);
    await expectResult('other.raw');
  },
);

test('a container that was changed in between is begun anew', async () => {
  await writeFile(at('changing.gz'), await packedBy('gzip', ['-1c'], await readFile(at('disk.raw'))));
  expect((await runChild(wanted('changing.gz'), during('copy', 60))).signal).toBe('SIGKILL');
  await writeFile(at('changing.gz'), await packedBy('gzip', ['-1c'], await readFile(at('other.raw'))));
  const ended = await runChild(wanted('changing.gz'));
  expect(unpacked(ended)).toBe(true);
  await rm(at('changing.gz'));
  await expectResult('other.raw');
});

test('a container that is damaged leaves nothing in the directory', async () => {
  await writeFile(at('cut.gz'), (await readFile(at('disk.gz'))).subarray(0, -1000));
  const { lines } = await runChild(wanted('cut.gz'));
  expect(lines.at(-1)).toMatchObject({ error: { code: 'truncated' } });
  await rm(at('cut.gz'));
  expect(await readdir(folder)).toEqual(kept);
});
