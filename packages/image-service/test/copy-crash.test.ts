/** Imports into stores that want different formats, and copies, killed at every operation: as `crash.test.ts` does. */
import { readFile, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { submitCopy } from '../src/import/copy/submit.ts';
import { submitImport } from '../src/import/submit.ts';
import type { WholeService } from '../src/main.ts';
import type { Faults } from './faults.ts';
import { endAll, openLife, outlives } from './short-lives.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, memoryDirectory } from './world.ts';

const SOURCE = diskBytes();
const TASK = '00000000-0000-4000-8000-000000000001';
const IMAGE = '00000000-0000-4000-8000-000000000002';
const WISHES = { 'a.output_format': 'raw', 'b.output_format': 'qcow2' };

const worlds: World[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.remove()));
});

/** What is begun in the life that dies. */
interface Work {
  /** Made before, by a process that does not die. */
  prepare(world: World): Promise<void>;
  submit(whole: WholeService, world: World): Promise<unknown>;
}

/** Begins an import of a file of the world. */
function beginImport(
  { parts, engine }: WholeService,
  file: string,
  more: Partial<Parameters<typeof submitImport>[2]>,
): Promise<unknown> {
  return submitImport(parts, engine, {
    taskId: TASK,
    taskType: 'import',
    taskInput: {},
    image: { id: IMAGE, diskFormat: 'raw', containerFormat: 'bare' },
    importFrom: file,
    stores: ['a', 'b'],
    ...more,
  });
}

const IMPORT: Work = {
  prepare: async (world) => writeFile(world.path('disk.raw'), SOURCE),
  submit: (whole, world) => beginImport(whole, world.path('disk.raw'), {}),
};

const PACKED: Work = {
  prepare: async (world) => writeFile(world.path('disk.raw.gz'), gzipSync(SOURCE)),
  submit: (whole, world) =>
    beginImport(whole, world.path('disk.raw.gz'), { decompress: { max_ratio: 1100, max_bytes: 2 ** 30 } }),
};

const COPY: Work = {
  async prepare(world) {
    await IMPORT.prepare(world);
    const whole = await openLife(world, { overrides: WISHES });
    await beginImport(whole, world.path('disk.raw'), { taskId: IMAGE, stores: ['a'] });
    await whole.service.resume();
    await whole.service.close();
  },
  submit: ({ parts, engine }) =>
    submitCopy(parts, engine, { taskId: TASK, taskInput: {}, imageId: IMAGE, stores: ['b'], asker: {} }),
};

/** True when the life outlived the work. */
function liveUntil(
  world: World,
  work: Work,
  { faults, dieAt }: { readonly faults: Faults; readonly dieAt: number },
): Promise<boolean> {
  return outlives(dieAt, async (end) => {
    const whole = await openLife(world, { faults, doom: end, overrides: WISHES });
    await work.submit(whole, world);
    await whole.service.resume();
    await whole.service.close();
  });
}

/** Brings everything to its end, and gives what lies in the stores then: by store, the content of its files. */
async function resume(world: World, faults: Faults): Promise<Readonly<Record<string, readonly Buffer[]>>> {
  await endAll(world, { faults, overrides: WISHES });
  const files = await world.files();
  expect(files.filter((name) => !name.startsWith('store'))).toEqual([]);
  const contents = async (store: string): Promise<readonly Buffer[]> =>
    Promise.all(files.filter((name) => name.startsWith(`store-${store}/`)).map((name) => readFile(world.path(name))));
  return { a: await contents('a'), b: await contents('b') };
}

async function freshWorld(work: Work): Promise<World> {
  const world = await makeWorld(await memoryDirectory());
  worlds.push(world);
  await work.prepare(world);
  return world;
}

/** What the stores hold after a life that nothing disturbs. */
async function undisturbed(work: Work): Promise<Readonly<Record<string, readonly Buffer[]>>> {
  const world = await freshWorld(work);
  expect(await liveUntil(world, work, { faults: {}, dieAt: Number.POSITIVE_INFINITY })).toBe(true);
  return resume(world, {});
}

const scenarios: readonly {
  readonly name: string;
  readonly work: Work;
  readonly faults: Faults;
  readonly stride: number;
}[] = [
  { name: 'an import', work: IMPORT, faults: {}, stride: 3 },
  { name: 'an import', work: IMPORT, faults: { failing: 'store b' }, stride: 5 },
  { name: 'a packed import', work: PACKED, faults: {}, stride: 5 },
  { name: 'a copy', work: COPY, faults: {}, stride: 2 },
  { name: 'a copy', work: COPY, faults: { failing: 'verify' }, stride: 5 },
  { name: 'a copy', work: COPY, faults: { failing: 'store b' }, stride: 4 },
  { name: 'a copy', work: COPY, faults: { failing: 'store b', stuck: 'delete' }, stride: 25 },
];

describe('killed at any operation and started again', () => {
  test.each(scenarios)(
    '$name with $faults ends the same, bit by bit, and nothing is left over',
    async ({ work, faults, stride }) => {
      const whole = await undisturbed(work);
      const expected = faults.failing === undefined ? whole : { a: work === COPY ? whole['a'] : [], b: [] };
      let dieAt = 1;
      for (let survived = false; !survived; dieAt += stride) {
        const world = await freshWorld(work);
        survived = await liveUntil(world, work, { faults, dieAt });
        const service = await world.open({ overrides: WISHES });
        const begun = (await service.tasks()).some((task) => task.id === TASK);
        await service.close();
        const first = await resume(world, faults);
        // What a store did not let go is removed later.
        const left = faults.stuck === undefined ? first : await resume(world, {});
        if (!begun) continue;
        for (const store of ['a', 'b']) {
          const [found = [], wanted = []] = [left[store], expected[store as 'a' | 'b']];
          expect(found.map((file, index) => file.equals(wanted[index] ?? Buffer.alloc(0)))).toEqual(
            wanted.map(() => true),
          );
        }
        await expectRecords(world, { work, failing: faults.failing !== undefined });
        await world.remove();
      }
      expect(dieAt).toBeGreaterThan(20);
    },
    300_000,
  );
});

/** The catalogue agrees: the task has ended, the image is as it must be. */
async function expectRecords(
  world: World,
  { work, failing }: { readonly work: Work; readonly failing: boolean },
): Promise<void> {
  const service = await world.open({ overrides: WISHES });
  const [task, image] = [await service.task(TASK), await service.image(IMAGE)];
  expect(task.status).toBe(failing ? 'failure' : 'success');
  expect(image.status).toBe(failing && work !== COPY ? 'queued' : 'active');
  const stores = image.locations.map(({ store, form }) => [store, form?.diskFormat]);
  const kept = work === COPY ? [['a', undefined]] : [];
  expect(stores).toEqual(
    failing
      ? kept
      : [
          ['a', undefined],
          ['b', 'qcow2'],
        ],
  );
  expect(image.properties['os_glance_failed_import']).toBe(failing ? (work === COPY ? 'b' : 'a,b') : '');
  expect(image.properties).not.toHaveProperty('os_glance_import_task');
  await service.close();
}
