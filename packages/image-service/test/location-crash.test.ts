/** A further location of an active image, killed at many of its operations: as `crash.test.ts` does. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findPlace } from '../src/import/image-places.ts';
import { submitImport } from '../src/import/submit.ts';
import { changeVerified } from '../src/import/verified-places.ts';
import { endAll, openLife, outlives } from './short-lives.ts';
import type { WebFiles } from './web-files.ts';
import { startWebFiles } from './web-files.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, memoryDirectory } from './world.ts';

const SOURCE = diskBytes();
const IMAGE = randomUUID();
const OVERRIDES = { 'DEFAULT.enabled_backends': 'a:file, b:file, w:http', 'w.http_allowed_addresses': '127.0.0.1' };

let web: WebFiles;
const worlds: World[] = [];
beforeEach(async () => {
  web = await startWebFiles();
  web.files.set('/disk', SOURCE).set('/other', Buffer.from(SOURCE).fill(7, 0, 10));
});
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.remove()));
  await web.close();
});

/** A world with a raw image in store a. */
async function freshWorld(): Promise<World> {
  const world = await makeWorld(await memoryDirectory());
  worlds.push(world);
  await writeFile(world.path('disk.raw'), SOURCE);
  const { service, parts, engine } = await openLife(world, { overrides: OVERRIDES });
  await submitImport(parts, engine, {
    taskId: randomUUID(),
    taskType: 'import',
    taskInput: {},
    image: { id: IMAGE, diskFormat: 'raw', containerFormat: 'bare' },
    importFrom: world.path('disk.raw'),
  });
  await service.resume();
  await service.close();
  return world;
}

/** True when the life outlived the work: a location is added, and waited for. */
function addUntil(world: World, path: string, dieAt: number): Promise<boolean> {
  return outlives(dieAt, async (end) => {
    const { service, parts, engine } = await openLife(world, { doom: end, overrides: OVERRIDES });
    await engine.start();
    const image = await parts.catalog.images.get(IMAGE);
    const url = `${web.url}${path}`;
    const found = await findPlace(parts, image, { url, metadata: {} });
    const locations = [...image.locations, found.place];
    await changeVerified(parts, engine, { image, locations, added: new Map([[url, found]]), asker: {} }).catch(
      () => {},
    );
    await service.close();
  });
}

describe('killed at any operation and started again', () => {
  test.each([
    { path: '/disk', status: 'success', stores: ['a', 'w'], stride: 3 },
    { path: '/other', status: 'failure', stores: ['a'], stride: 5 },
  ])('a location with $path is named, or it is not: $status', async ({ path, status, stores, stride }) => {
    let dieAt = 1;
    for (let survived = false; !survived; dieAt += stride) {
      const world = await freshWorld();
      survived = await addUntil(world, path, dieAt);
      await endAll(world, { overrides: OVERRIDES });
      const service = await world.open({ overrides: OVERRIDES });
      const image = await service.image(IMAGE);
      const task = (await service.tasks()).find(({ type }) => type === 'location_import');
      expect(task?.status).toBe(task === undefined ? undefined : status);
      expect(image.status).toBe('active');
      expect(image.properties).not.toHaveProperty('os_glance_import_task');
      expect(image.locations.map(({ store }) => store)).toEqual(task === undefined ? ['a'] : stores);
      await service.close();
      expect(await world.files()).toEqual([`store-a/${image.locations[0]?.location}`]);
      await world.remove();
    }
    expect(dieAt).toBeGreaterThan(10);
  });
});
