import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spaceClaims } from './space-claims.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'diskmorph-claims-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const folder = (): string => join(directory, '.diskmorph-space');

test('many that claim and withdraw at the same time do not fail each other, and leave nothing', async () => {
  const all = Array.from({ length: 8 }, (_, index) => spaceClaims(`process ${index}`));
  const busy = all.map(async (claims) => {
    for (let round = 0; round < 100; round++) {
      await claims.tell(directory, 1000);
      await claims.tell(directory, 0);
    }
  });
  await Promise.all(busy);
  await Promise.all(all.map((claims) => claims.close()));
  expect(await readdir(directory)).toEqual([]);
});

test('each hears what the others have promised', async () => {
  const [one, two] = [spaceClaims('one'), spaceClaims('two')];
  await one.tell(directory, 1000);
  await two.tell(directory, 500);
  expect([await one.ofOthers(directory), await two.ofOthers(directory)]).toEqual([500, 1000]);
  await Promise.all([one.close(), two.close()]);
});

describe('what a process that was killed has left goes without anybody claiming there', () => {
  /** No process has a number beyond Linux's highest. */
  const dead = `${hostname()}.${2 ** 22 + 1}.x`;

  test.each([{ left: [dead] }, { left: [] }])('claims $left', async ({ left }) => {
    await mkdir(folder());
    for (const name of left) await writeFile(join(folder(), name), Buffer.alloc(100));
    await spaceClaims('one').forgetGone(directory);
    expect(await readdir(directory)).toEqual([]);
  });

  test('what others that live have claimed stays', async () => {
    const [one, two] = [spaceClaims('one'), spaceClaims('two')];
    await two.tell(directory, 500);
    await writeFile(join(folder(), dead), Buffer.alloc(100));
    await one.forgetGone(directory);
    expect([await readdir(folder()), await one.ofOthers(directory)]).toEqual([[expect.stringMatching(/two$/)], 500]);
    await two.close();
  });

  test('nothing is there, or not even the directory', async () => {
    await spaceClaims('one').forgetGone(directory);
    await spaceClaims('one').forgetGone(join(directory, 'gone'));
    expect(await readdir(directory)).toEqual([]);
  });
});
