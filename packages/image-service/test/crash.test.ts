import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Faults } from './faults.ts';
import { endAll, openLife, outlives } from './short-lives.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, memoryDirectory } from './world.ts';

const OVERRIDES = { 'taskflow_executor.conversion_format': 'qcow2' };
const SOURCE = diskBytes();

let worlds: World[] = [];
beforeEach(() => {
  worlds = [];
});
afterEach(async () => {
  await Promise.all(worlds.map((world) => world.remove()));
});

async function freshWorld(): Promise<World> {
  const world = await makeWorld(await memoryDirectory());
  worlds.push(world);
  await writeFile(world.path('disk.raw'), SOURCE);
  return world;
}

/** True when a process that imports the file, and dies at operation `dieAt`, outlives that. */
function liveUntil(world: World, faults: Faults, dieAt: number): Promise<boolean> {
  return outlives(dieAt, async (end) => {
    const { service } = await openLife(world, { faults, doom: end, overrides: OVERRIDES });
    await service.import(world.path('disk.raw'), { diskFormat: 'raw', stores: ['a', 'b'] }).catch(() => {});
    await service.close();
  });
}

/** Why the task says that it failed: the first fault, whatever went wrong after it. */
function messageOf({ failing, stuck }: Faults): RegExp {
  if (failing === 'inspect') return /^The image could not be inspected/;
  // Residue of the life before that cannot be deleted fails the store step by itself.
  return stuck === 'delete' ? /^(store b fails|the store does not delete)/ : new RegExp(`^${failing} fails`);
}

/** What must hold when all processes are gone: every task has ended, every image is whole or untouched, nothing else is there. */
async function expectOrder(world: World, faults: Faults, reference: Buffer): Promise<void> {
  const service = await world.open();
  const expectedFiles: string[] = [];
  for (const task of await service.tasks()) {
    const image = await service.image(task.imageId ?? '');
    expect(['succeeded', 'failed']).toContain(task.job?.state);
    if (faults.failing === undefined) {
      expect([task.status, task.message, image.status]).toEqual(['success', '', 'active']);
      expect(image.locations.map((place) => place.store)).toEqual(['a', 'b']);
      for (const { store, location } of image.locations) {
        expectedFiles.push(`store-${store}/${location}`);
        expect((await readFile(world.storePath(store, location))).equals(reference)).toBe(true);
      }
    } else {
      expect([task.status, image.status]).toEqual(['failure', 'queued']);
      expect(task.message).toMatch(messageOf(faults));
      expect(image).toMatchObject({ size: null, locations: [], properties: { os_glance_failed_import: 'a,b' } });
      expect(image.properties).not.toHaveProperty('os_glance_import_task');
    }
  }
  expect(await world.files()).toEqual(expectedFiles.sort());
}

async function referenceResult(): Promise<Buffer> {
  const world = await freshWorld();
  const service = await world.open({ overrides: OVERRIDES });
  const { image } = await service.import(world.path('disk.raw'), { diskFormat: 'raw' });
  return readFile(world.storePath('a', image.locations[0]?.location ?? ''));
}

/** Operations before the first that is not the same as in a flow without the fault: those are tested there. */
const scenarios: readonly { readonly faults: Faults; readonly from: number; readonly stride: number }[] = [
  { faults: {}, from: 1, stride: 1 },
  { faults: { failing: 'stage' }, from: 20, stride: 1 },
  { faults: { failing: 'inspect' }, from: 40, stride: 2 },
  { faults: { failing: 'convert' }, from: 50, stride: 2 },
  { faults: { failing: 'verify' }, from: 60, stride: 2 },
  { faults: { failing: 'store b' }, from: 80, stride: 1 },
  { faults: { failing: 'activate' }, from: 100, stride: 2 },
  { faults: { failing: 'store b', stuck: 'discard' }, from: 90, stride: 2 },
  { faults: { failing: 'store b', stuck: 'delete' }, from: 90, stride: 2 },
];

describe('statement 17: killed at any operation and started again', () => {
  test.each(scenarios)(
    'with $faults: the import ends the same, bit by bit, and nothing is left over',
    async ({ faults, from, stride }) => {
      const reference = await referenceResult();
      let dieAt = from;
      for (let survived = false; !survived; dieAt += stride) {
        const world = await freshWorld();
        survived = await liveUntil(world, faults, dieAt);
        await endAll(world, { faults, overrides: OVERRIDES });
        // A store that does not delete leaves its blob to the next start.
        if (faults.stuck !== undefined) await endAll(world, { overrides: OVERRIDES });
        await expectOrder(world, faults, reference);
      }
      expect(dieAt).toBeGreaterThan(from + 10);
    },
    300_000,
  );
});
