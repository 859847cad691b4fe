/** What comes of imports, copies and conversions that meet something in the moment in which a store was filled. */
import { mkdir, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { IMPORT_TASK_PROPERTY } from '../src/catalog/image.ts';
import { submitCopy } from '../src/import/copy/submit.ts';
import { submitConversion } from '../src/import/in-place/submit.ts';
import { submitImport } from '../src/import/submit.ts';
import type { RawParts, WholeService } from '../src/main.ts';
import { openWholeService } from '../src/main.ts';
import { removeGivenUp } from './short-lives.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, memoryDirectory, readingHere } from './world.ts';

const TASK = '00000000-0000-4000-8000-000000000001';
const IMAGE = '00000000-0000-4000-8000-000000000002';

let world: World;
afterEach(() => world.remove());

/** What is done in store b when something was put there. */
type AfterPut = (parts: RawParts) => Promise<void>;

function open(afterPut: AfterPut = async () => {}): Promise<WholeService> {
  return openWholeService(
    readingHere({
      configFiles: [world.configFile],
      environment: {},
      overrides: {
        'DEFAULT.enabled_backends': 'a:file, b:file, c:file',
        'c.filesystem_store_datadir': world.path('store-c'),
      },
      intercept: (parts) => ({ ...parts, stores: new Map([...parts.stores, ...watchedStore(parts, afterPut)]) }),
    }),
  );
}

function watchedStore(parts: RawParts, afterPut: AfterPut): RawParts['stores'] {
  const store = parts.stores.get('b');
  if (store === undefined) throw new Error('the world has a store b');
  const put: typeof store.put = async (...parameters) => {
    const stored = await store.put(...parameters);
    await afterPut(parts);
    return stored;
  };
  return new Map([['b', { ...store, put }]]);
}

interface Work {
  readonly name: string;
  /** Stores that have the image before. */
  readonly filled: readonly string[];
  submit(whole: WholeService): Promise<unknown>;
}

const works: readonly Work[] = [
  { name: 'an import', filled: [], submit: (whole) => beginImport(whole, TASK, ['a', 'b']) },
  {
    name: 'a copy',
    filled: ['a'],
    submit: ({ parts, engine }) =>
      submitCopy(parts, engine, {
        taskId: TASK,
        taskInput: {},
        imageId: IMAGE,
        stores: ['b', 'c'],
        allStoresMustSucceed: false,
        asker: {},
      }),
  },
  {
    name: 'a conversion in place',
    filled: ['a', 'b'],
    submit: ({ parts, engine }) =>
      submitConversion(parts, engine, {
        taskId: TASK,
        taskInput: {},
        imageId: IMAGE,
        format: 'qcow2',
        rewrite: 'when-different',
        asker: {},
      }),
  },
];

function beginImport({ parts, engine }: WholeService, taskId: string, stores: readonly string[]): Promise<unknown> {
  return submitImport(parts, engine, {
    taskId,
    taskType: 'import',
    taskInput: {},
    image: { id: IMAGE, diskFormat: 'raw', containerFormat: 'bare' },
    importFrom: world.path('disk.raw'),
    stores,
    allStoresMustSucceed: false,
  });
}

async function prepare({ filled }: Work): Promise<void> {
  world = await makeWorld(await memoryDirectory());
  await mkdir(world.path('store-c'));
  await writeFile(world.path('disk.raw'), diskBytes());
  if (filled.length === 0) return;
  const whole = await open();
  await beginImport(whole, IMAGE, filled);
  await whole.service.resume();
  await whole.service.close();
}

/** Does the work in a process that meets something when it has put the image into store b; gives why it stopped. */
async function workUntil(work: Work, afterPut: AfterPut): Promise<unknown> {
  const whole = await open(afterPut);
  await work.submit(whole);
  await whole.engine.start();
  const why = await whole.engine.wait(TASK).catch((error: unknown) => error);
  await whole.service.close();
  return why;
}

async function namedFiles(): Promise<readonly string[]> {
  const service = await world.open();
  const { locations } = await service.image(IMAGE);
  await service.close();
  return locations.map(({ store, location }) => `store-${store}/${location}`).sort();
}

async function filesIn(store: string): Promise<readonly string[]> {
  return (await world.files()).filter((name) => name.startsWith(`store-${store}/`));
}

const losses: readonly { readonly how: string; readonly lose: AfterPut }[] = [
  { how: 'another one has taken it over', lose: async ({ journal }) => void (await journal.claim(TASK)) },
  {
    how: 'another one has even brought it to its end',
    async lose({ journal, catalog }) {
      await journal.claim(TASK);
      const image = await catalog.images.get(IMAGE);
      const { [IMPORT_TASK_PROPERTY]: _lock, ...properties } = image.properties;
      await catalog.images.save(image, { properties });
    },
  },
];

describe.each(losses)('the job is lost in the moment of storing: $how', ({ lose }) => {
  test.each(works)('$name leaves nothing in that store that its image does not name', async (work) => {
    await prepare(work);
    expect(await workUntil(work, lose)).toMatchObject({ code: 'fenced' });
    expect(await filesIn('b')).toEqual((await namedFiles()).filter((name) => name.startsWith('store-b/')));
  });
});

test.each(works)('$name that was taken over ends well, with one file in each store', async (work) => {
  await prepare(work);
  await workUntil(work, losses[0]?.lose ?? (async () => {}));
  const whole = await open();
  await whole.service.resume();
  expect(await whole.service.task(TASK)).toMatchObject({ status: 'success' });
  expect((await whole.service.image(IMAGE)).properties['os_glance_failed_import'] ?? '').toBe('');
  await removeGivenUp(whole);
  await whole.service.close();
  const files = (await world.files()).filter((name) => name.startsWith('store-'));
  expect(files).toEqual((await namedFiles()).filter((name) => !name.startsWith('store-c')));
  expect(files.map((name) => name.slice(0, 'store-a'.length))).toEqual(['store-a', 'store-b']);
});
