import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spaceClaims } from './space-claims.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'diskmorph-claims-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

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
