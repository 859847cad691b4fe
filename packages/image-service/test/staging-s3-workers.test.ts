import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'vitest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { S3Server } from '../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../fixtures/radosgw.ts';
import type { ImageService, TaskView } from '../src/import/service.ts';
import { serveImages } from '../src/server.ts';
import { testPostgres } from './databases.ts';
import { bucketContents, s3Options } from './s3-world.ts';
import type { WorkerOrder } from './service-child.ts';
import type { WorkerProcess } from './workers.ts';
import { startWorker } from './workers.ts';
import type { World } from './world.ts';
import { makeWorld, qemuImg } from './world.ts';

/** Another worker takes over after ten seconds; on a machine that is busy everything else takes its time too. */
const SLOW_MS = 180_000;
const SOURCE = Buffer.concat([Buffer.alloc(4096, 0x55), randomBytes(6 * 2 ** 20), Buffer.alloc(2 ** 20)]);

let server: S3Server;
beforeAll(async () => {
  [server] = await Promise.all([startRadosgw(), testPostgres()]);
});
afterAll(() => server?.stop());

/** Several machines with one database, one staging bucket, shared stores, and work directories of their own. */
interface Machines {
  readonly world: World;
  readonly asker: ImageService;
  /** Stages the source, begins its import, and gives the image. */
  begin(): Promise<string>;
  worker(machine: string, order?: Pick<WorkerOrder, 'faults' | 'fate'>): Promise<WorkerProcess>;
  /** Everything in the work directory of a machine. */
  scratch(machine: string): Promise<readonly string[]>;
  /** The machine goes with its work directory: it is nowhere that others see. */
  lose(machine: string): Promise<void>;
  comesBack(machine: string): Promise<void>;
  staged(): Promise<readonly string[]>;
}

async function machines({ onTestFinished }: Pick<TestContext, 'onTestFinished'>): Promise<Machines> {
  const bucket = `staging-${randomUUID()}`;
  const world = await makeWorld();
  onTestFinished(() => world.remove());
  const staging = `[os_glance_staging_store]
s3_store_host = ${server.endpoint}
s3_store_access_key = ${server.accessKey}
s3_store_secret_key = ${server.secretKey}
s3_store_bucket = ${bucket}
s3_store_create_bucket_on_put = true
s3_store_large_object_size = 5
s3_store_large_object_chunk_size = 5
`;
  const text = await readFile(world.configFile, 'utf8');
  await writeFile(world.configFile, text.replace(/\[os_glance_staging_store\]\n.*\n/, staging));
  const shared = {
    'database.connection': await (await testPostgres()).database(),
    'image_import_opts.image_import_plugins': 'image_conversion',
    'image_conversion.output_format': 'qcow2',
  };
  const overridesOf = async (machine: string): Promise<Readonly<Record<string, string>>> => {
    const work = world.path(`work-${machine}`);
    await mkdir(work, { recursive: true });
    return {
      ...shared,
      'diskmorph.node_name': machine,
      'os_glance_tasks_store.filesystem_store_datadir': work,
    };
  };
  const api = await serveImages({
    configFiles: [world.configFile],
    environment: {},
    overrides: { ...(await overridesOf('api')), 'diskmorph.run_tasks': 'false' },
    port: 0,
    version: '0',
  });
  onTestFinished(() => api.close());
  const call = async (line: string, body: BodyInit | Uint8Array, type: string): Promise<Response> => {
    const [method = '', path = ''] = line.split(' ');
    const answer = await fetch(`${api.url}${path}`, { method, body, headers: { 'content-type': type } } as RequestInit);
    expect([line, answer.status]).toEqual([line, expect.toSatisfy((status: number) => status < 300)]);
    return answer;
  };
  return {
    world,
    asker: await world.open({ role: 'only asks', overrides: await overridesOf('api') }),
    async begin() {
      const described = JSON.stringify({ disk_format: 'raw', container_format: 'bare' });
      const image = await call('POST /v2/images', described, 'application/json');
      const { id } = (await image.json()) as { readonly id: string };
      await call(`PUT /v2/images/${id}/stage`, SOURCE, 'application/octet-stream');
      const request = { method: { name: 'glance-direct' }, stores: ['a', 'b'] };
      await call(`POST /v2/images/${id}/import`, JSON.stringify(request), 'application/json');
      return id;
    },
    async worker(machine, order = {}) {
      const overrides = await overridesOf(machine);
      const worker = await startWorker({ configFile: world.configFile, overrides, ...order });
      onTestFinished(async () => void (await worker.end('SIGKILL')));
      return worker;
    },
    scratch: (machine) => readdir(world.path(`work-${machine}`), { recursive: true }),
    lose: (machine) => rename(world.path(`work-${machine}`), world.path(`lost-${machine}`)),
    comesBack: (machine) => rename(world.path(`lost-${machine}`), world.path(`work-${machine}`)),
    staged: () => bucketContents(s3Options(server, { instanceId: randomUUID(), bucket })),
  };
}

/** The only task, once it has ended. */
async function ended({ asker }: Machines): Promise<TaskView> {
  for (;;) {
    const [task] = await asker.tasks();
    if (task?.status === 'success' || task?.status === 'failure') {
      // The very end comes after it.
      if (task.job?.state === 'succeeded' || task.job?.state === 'failed') return task;
    }
    await delay(100);
  }
}

/** The steps of a job as far as they have begun: their stage, whether they are finished, how often they began. */
function stagesOf({ job }: TaskView): readonly string[] {
  return (job?.steps ?? []).map(({ name, state, attempts }) => {
    const stage = name.replace(/^api_image_import-(\w+)-[0-9a-f-]{36}/, '$1');
    return `${stage} ${state} ${attempts}`;
  });
}

/** Both stores have the image, with the guest's bytes; nothing else is anywhere. */
async function expectImported({ world, asker, staged }: Machines, id: string): Promise<void> {
  const image = await asker.image(id);
  expect([image.status, image.locations.map(({ store }) => store)]).toEqual(['active', ['a', 'b']]);
  for (const { store, location } of image.locations) {
    const path = world.storePath(store, location);
    const sha512 = createHash('sha512')
      .update(await readFile(path))
      .digest('hex');
    expect(sha512).toBe(image.osHashValue);
    await qemuImg('convert', '-O', 'raw', path, world.path(`${store}.raw`));
    expect((await readFile(world.path(`${store}.raw`))).equals(SOURCE)).toBe(true);
  }
  expect(await staged()).toEqual([]);
  const files = image.locations.map(({ store, location }) => `store-${store}/${location}`);
  expect(await world.files()).toEqual(files.sort());
}

describe.concurrent('a worker that dies by SIGKILL', () => {
  test(
    'is replaced by one on another machine, which begins anew; its machine is cleared when it comes back',
    async (context) => {
      const installation = await machines(context);
      const first = await installation.worker('one', { fate: { signal: 'SIGKILL', stage: 'Store' } });
      const id = await installation.begin();
      expect(await first.ended).toBe('SIGKILL');
      const [before] = await installation.asker.tasks();
      expect(before === undefined ? [] : stagesOf(before).at(-1)).toBe('Store-a running 1');
      expect((await installation.staged()).length).toBe(1);
      await installation.lose('one');
      await installation.worker('two');
      const task = await ended(installation);
      const twice = ['Stage', 'Inspect', 'Convert', 'Verify'].map((stage) => `${stage} finished 2`);
      expect([task.status, task.message, stagesOf(task).slice(0, 4)]).toEqual(['success', '', twice]);
      await expectImported(installation, id);
      expect(await installation.scratch('two')).toEqual([]);
      await installation.comesBack('one');
      expect(await installation.scratch('one')).not.toEqual([]);
      await installation.worker('one');
      while ((await installation.scratch('one')).length > 0) await delay(50);
    },
    SLOW_MS,
  );

  test(
    'is replaced by one on the same machine, which goes on where it was',
    async (context) => {
      const installation = await machines(context);
      const first = await installation.worker('one', { fate: { signal: 'SIGKILL', stage: 'Store' } });
      const id = await installation.begin();
      expect(await first.ended).toBe('SIGKILL');
      await installation.worker('one');
      const task = await ended(installation);
      const once = ['Stage', 'Inspect', 'Convert', 'Verify'].map((stage) => `${stage} finished 1`);
      expect([task.status, task.message, stagesOf(task).slice(0, 4)]).toEqual(['success', '', once]);
      await expectImported(installation, id);
      expect(await installation.scratch('one')).toEqual([]);
    },
    SLOW_MS,
  );

  test(
    'while it undoes an import is replaced by one on another machine, which undoes the rest',
    async (context) => {
      const installation = await machines(context);
      const faults = { failing: 'store b' } as const;
      const first = await installation.worker('one', { faults, fate: { signal: 'SIGKILL', revert: 2 } });
      const id = await installation.begin();
      expect(await first.ended).toBe('SIGKILL');
      const [before] = await installation.asker.tasks();
      expect(before?.job?.state).toBe('reverting');
      await installation.lose('one');
      await installation.worker('two', { faults });
      const task = await ended(installation);
      expect([task.status, task.message]).toEqual(['failure', 'store b fails']);
      expect((await installation.asker.image(id)).status).toBe('queued');
      expect(await installation.staged()).toEqual([]);
      expect(await installation.world.files()).toEqual([]);
      expect(await installation.scratch('two')).toEqual([]);
    },
    SLOW_MS,
  );
});
