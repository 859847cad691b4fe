/** Files that share blocks on a real file system. What is common to all of them is tested in memory: `direct-bytes.test.ts`. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { useXfsVolume } from '../../../fixtures/xfs-volume.ts';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import type { FileConversion } from '../src/index.ts';
import { convertFile } from '../src/index.ts';

const MiB = 2 ** 20;
const DATA = 32 * MiB;
const volume = useXfsVolume();
let elsewhere = '';

beforeAll(async () => {
  elsewhere = await mkdtemp(path.join(tmpdir(), 'diskmorph-reflink-'));
});
afterAll(() => rm(elsewhere, { recursive: true, force: true }));
beforeEach(() => writeDisk(volume.path('source.raw')));

/** Random bytes, and at the end some that fill no block. */
async function writeDisk(file: string): Promise<void> {
  await writeFile(file, Buffer.concat([randomBytes(DATA), Buffer.alloc(4 * MiB), randomBytes(512)]));
}

async function freeBytes(): Promise<number> {
  await promisify(execFile)('sync', ['-f', volume.path('.')]);
  const { bavail, bsize } = await statfs(volume.path('.'));
  return bavail * bsize;
}

/** Bytes of disk that a conversion takes, when nothing was at its target. */
async function spaceTakenBy(
  request: Pick<FileConversion, 'source' | 'target'>,
  choices: Partial<FileConversion>,
): Promise<number> {
  await rm(request.target.path, { force: true });
  const before = await freeBytes();
  await convertAll(request, choices);
  return before - (await freeBytes());
}

async function convertAll(
  request: Pick<FileConversion, 'source' | 'target'>,
  choices: Partial<FileConversion>,
): Promise<void> {
  const references = { directories: [volume.path('.')] };
  await convertFile({ ...request, source: { ...request.source, references }, overwrite: true, ...choices });
}

async function theyAreTheSame(target: { readonly path: string; readonly format: string }): Promise<void> {
  const theirs = { vhd: 'vpc' }[target.format] ?? target.format;
  const judged = ['compare', '-f', 'raw', '-F', theirs, volume.path('source.raw'), target.path];
  await promisify(execFile)(await requireQemuImg(), judged);
}

const unseen = { verify: false, digest: false, unseenFrom: 0, callingThread: 'works' } as const;
const WAYS = [
  ['unseen', unseen],
  ['digested and verified', { callingThread: 'works' }],
  ['by threads', { workers: 2 }],
] as const;

describe('a target on the file system of its source', () => {
  describe.each(WAYS)('%s', (_way, choices) => {
    test.each(['raw', 'qcow2', 'vhdx', 'vdi', 'vmdk'])('shares blocks with it: %s', async (format) => {
      const source = { path: volume.path('source.raw'), format: 'raw' };
      const there = { path: volume.path(`disk.${format}`), format };
      expect(await spaceTakenBy({ source, target: there }, choices)).toBeLessThan(DATA / 4);
      await theyAreTheSame(there);
      const back = { path: volume.path('back.raw'), format: 'raw' };
      expect(await spaceTakenBy({ source: there, target: back }, choices)).toBeLessThan(DATA / 4);
      await theyAreTheSame(back);
    });
  });

  test.each([
    ['that is forbidden', {}, { reflink: 'never' as const }],
    ['space is to be there when the guest writes', { preallocation: 'falloc' }, {}],
    ['zeros are to be stored', {}, { zeroRule: { least: 0 } }],
  ])('has blocks of its own where %s', async (_why, options, choices) => {
    const source = { path: volume.path('source.raw'), format: 'raw' };
    const target = { path: volume.path('own.qcow2'), format: 'qcow2', options };
    const taken = await spaceTakenBy({ source, target }, { ...unseen, ...choices });
    expect(taken).toBeGreaterThanOrEqual(DATA);
    await theyAreTheSame(target);
  });

  test('stays as it is when the source is written', async () => {
    const source = { path: volume.path('source.raw'), format: 'raw' };
    const target = { path: volume.path('kept.raw'), format: 'raw' };
    await convertAll({ source, target }, unseen);
    const before = await readFile(source.path);
    const file = await open(source.path, 'r+');
    await file.write(Buffer.alloc(MiB, 0xee), 0, MiB, 3 * MiB);
    await file.close();
    expect((await readFile(target.path)).equals(before)).toBe(true);
  });
});

test('a target on another file system is copied', async () => {
  await writeDisk(path.join(elsewhere, 'disk.raw'));
  const source = { path: path.join(elsewhere, 'disk.raw'), format: 'raw' };
  for (const [_way, choices] of WAYS) {
    const target = { path: volume.path('copied.raw'), format: 'raw' };
    await convertAll({ source, target }, choices);
    expect((await readFile(target.path)).equals(await readFile(source.path))).toBe(true);
  }
});
