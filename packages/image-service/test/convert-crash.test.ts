/** A conversion in place, killed at every operation: as `crash.test.ts` does. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { heldBlobs } from '../src/import/held-blobs.ts';
import { submitConversion } from '../src/import/in-place/submit.ts';
import { removeOrphans } from '../src/import/orphan-removal.ts';
import { submitImport } from '../src/import/submit.ts';
import type { Faults } from './faults.ts';
import { endAll, openLife, outlives } from './short-lives.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, memoryDirectory, sha512 } from './world.ts';

const SOURCE = diskBytes();
const TASK = '00000000-0000-4000-8000-000000000001';
const IMAGE = '00000000-0000-4000-8000-000000000002';

const worlds: World[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.remove()));
});

/** A world with a raw image in both stores. */
async function freshWorld(): Promise<World> {
  const world = await makeWorld(await memoryDirectory());
  worlds.push(world);
  await writeFile(world.path('disk.raw'), SOURCE);
  const { service, parts, engine } = await openLife(world);
  await submitImport(parts, engine, {
    taskId: IMAGE,
    taskType: 'import',
    taskInput: {},
    image: { id: IMAGE, diskFormat: 'raw', containerFormat: 'bare' },
    importFrom: world.path('disk.raw'),
    stores: ['a', 'b'],
  });
  await service.resume();
  await service.close();
  return world;
}

/** True when the life outlived the conversion. */
function convertUntil(world: World, faults: Faults, dieAt: number): Promise<boolean> {
  return outlives(dieAt, async (end) => {
    const { parts, engine, service } = await openLife(world, { faults, doom: end });
    await submitConversion(parts, engine, {
      taskId: TASK,
      taskInput: {},
      imageId: IMAGE,
      format: 'qcow2',
      rewrite: 'when-different',
      asker: {},
    });
    await service.resume();
    await service.close();
  });
}

/** What must hold: the image is whole, in one format or the other; nothing else is there. */
async function expectOrder(world: World, expected: 'raw' | 'qcow2', reference: Buffer): Promise<void> {
  const service = await world.open();
  const image = await service.image(IMAGE);
  expect(image).toMatchObject({ status: 'active', diskFormat: expected, size: reference.length });
  expect(image.properties).not.toHaveProperty('os_glance_import_task');
  expect(image.locations.map(({ store }) => store)).toEqual(['a', 'b']);
  const files: string[] = [];
  for (const { store, location } of image.locations) {
    files.push(`store-${store}/${location}`);
    expect((await readFile(world.storePath(store, location))).equals(reference)).toBe(true);
    expect(await sha512(world.storePath(store, location))).toBe(image.osHashValue);
  }
  expect(await world.files()).toEqual(files.sort());
}

const scenarios: readonly { readonly faults: Faults; readonly stride: number }[] = [
  { faults: {}, stride: 1 },
  { faults: { failing: 'convert' }, stride: 3 },
  { faults: { failing: 'verify' }, stride: 3 },
  { faults: { failing: 'store b' }, stride: 2 },
];

describe('killed at any operation and started again', () => {
  test.each(scenarios)(
    'with $faults: the image is what it was, or what it was to be, in every store',
    async ({ faults, stride }) => {
      const converted = await reference();
      let dieAt = 1;
      for (let survived = false; !survived; dieAt += stride) {
        const world = await freshWorld();
        survived = await convertUntil(world, faults, dieAt);
        await endAll(world, { faults });
        const service = await world.open();
        const task = (await service.tasks()).find(({ id }) => id === TASK);
        await service.close();
        const succeeds = task !== undefined && faults.failing === undefined;
        expect(task?.status).toBe(task === undefined ? undefined : succeeds ? 'success' : 'failure');
        await expectOrder(world, succeeds ? 'qcow2' : 'raw', succeeds ? converted : SOURCE);
        await world.remove();
      }
      expect(dieAt).toBeGreaterThan(20);
    },
    300_000,
  );
});

async function reference(): Promise<Buffer> {
  const world = await freshWorld();
  expect(await convertUntil(world, {}, Number.POSITIVE_INFINITY)).toBe(true);
  await endAll(world);
  const service = await world.open();
  const { locations } = await service.image(IMAGE);
  return readFile(world.storePath('a', locations[0]?.location ?? ''));
}

test('what is given up stays while anybody, in any process, holds it, and until the grace has passed', async () => {
  const world = await freshWorld();
  await convertUntil(world, {}, Number.POSITIVE_INFINITY);
  const { service, parts } = await openLife(world);
  const { catalog, log } = parts;
  const { blobRemovals, blobHolds: holds } = catalog;
  const [orphan] = await blobRemovals.list();
  if (orphan === undefined) throw new Error('the conversion has given something up');
  const place = { store: orphan.store, location: orphan.location };
  let now = Date.now() + 5000;
  const held = heldBlobs({ holds, now: () => now, log });
  const sweep = (): Promise<void> =>
    removeOrphans({ ...parts, blobRemovals, holds, held, graceMs: 10_000, now: () => now });
  const names = async (): Promise<readonly string[]> =>
    (await blobRemovals.list()).map(({ store, location }) => `${store} ${location}`);
  const name = `${place.store} ${place.location}`;
  await sweep();
  expect(await names()).toHaveLength(2);
  now += 10_000;
  await holds.keep({ id: TASK, ...place, expiresAt: now + 60_000 });
  const letGo = held.hold(place);
  await sweep();
  expect(await names()).toEqual([name]);
  await holds.release(TASK);
  await sweep();
  expect(await names()).toEqual([name]);
  letGo();
  await holds.keep({ id: TASK, ...place, expiresAt: now + 60_000 });
  now += 60_000;
  await sweep();
  expect(await names()).toEqual([]);
  expect(await world.files()).toHaveLength(2);
  await service.close();
});
