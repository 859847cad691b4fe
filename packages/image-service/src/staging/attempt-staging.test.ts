import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { attemptStaging } from './attempt-staging.ts';
import { hashThreads } from './hash.ts';
import type { LastingSource } from './resumed-file.ts';
import { comingPath, receiveResumed } from './resumed-file.ts';
import type { Staging } from './staging.ts';
import { openStaging } from './staging.ts';

const JOB = '11111111-1111-4111-8111-111111111111';
const INSTANCE = '22222222-2222-4222-8222-222222222222';

let dir: string;
let staging: Staging;
const hashing = hashThreads();
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-attempt-'));
  staging = openStaging({ workDir: dir, instanceId: INSTANCE, marginBytes: 0, hashing });
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});
afterAll(() => hashing.close());

test('two holders of a job have files of the same name, and neither sees the other one write', async () => {
  const [first, second] = [attemptStaging(staging, 1), attemptStaging(staging, 2)];
  await writeFile(await first.pathOf(JOB, 'disk'), 'one');
  await writeFile(await second.pathOf(JOB, 'disk'), 'two');
  expect(await readFile(await first.pathOf(JOB, 'disk'), 'utf8')).toBe('one');
  await second.remove(JOB);
  expect(await readdir(dir)).toEqual([]);
});

test('what an earlier holder had moved in is found by the next one', async () => {
  const waiting = join(dir, 'waiting');
  await writeFile(waiting, 'staged');
  const first = attemptStaging(staging, 1);
  await first.adopt(waiting, await first.pathOf(JOB, 'disk'));
  const third = attemptStaging(staging, 3);
  const path = await third.pathOf(JOB, 'disk');
  expect(await third.adopt(waiting, path)).toEqual({ sizeBytes: 6 });
  expect(await third.adopt(waiting, path)).toEqual({ sizeBytes: 6 });
  expect(await readFile(path, 'utf8')).toBe('staged');
});

test('a directory is taken over as a copy from the last that has it; one without it begins anew', async () => {
  for (const attempt of [1, 2]) {
    const path = await attemptStaging(staging, attempt).pathOf(JOB, 'checkpoints');
    await mkdir(join(path, 'target'), { recursive: true });
    await writeFile(join(path, 'checkpoint.json'), `state ${attempt}`);
    await writeFile(join(path, 'target', 'disk'), `bytes ${attempt}`);
  }
  const fourth = attemptStaging(staging, 4);
  const path = await fourth.pathOf(JOB, 'checkpoints');
  await fourth.takeOver(path, {});
  expect(await readFile(join(path, 'checkpoint.json'), 'utf8')).toBe('state 2');
  expect(await readFile(join(path, 'target', 'disk'), 'utf8')).toBe('bytes 2');
  await fourth.takeOver(await fourth.pathOf(JOB, 'nothing'), {});
  expect(await readdir(dirname(path))).toEqual(['checkpoints']);
});

test('what an earlier holder has received of a lasting source need not come again', async () => {
  const size = 65 * 2 ** 20;
  const asked: number[] = [];
  const source = (end: number): LastingSource => ({
    identity: 'x',
    sizeBytes: size,
    async *from(offset) {
      asked.push(offset);
      for (let at = offset; at < end; at += 2 ** 20) yield new Uint8Array(2 ** 20);
      if (end < size) throw new Error('the process dies');
    },
  });
  const receive = async (attempt: number, end: number): Promise<unknown> => {
    const own = attemptStaging(staging, attempt);
    const path = await own.pathOf(JOB, 'disk');
    await own.takeOver(comingPath(path), {});
    return receiveResumed(path, source(end), { expect: async () => {} });
  };
  await expect(receive(1, size - 2 ** 20)).rejects.toThrow('the process dies');
  expect(await receive(2, size)).toEqual({ sizeBytes: size });
  expect(asked).toEqual([0, 64 * 2 ** 20]);
});
