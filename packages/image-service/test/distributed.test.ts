import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { ImageService } from '../src/import/service.ts';
import { HEADER_AUTHENTICATION } from './api-world.ts';
import { testPostgres } from './databases.ts';
import type { ImageServer } from '../src/server.ts';
import { serveImages } from '../src/server.ts';
import type { Faults } from './faults.ts';
import type { WorkerOrder } from './service-child.ts';
import type { WorkerProcess } from './workers.ts';
import { startWorker } from './workers.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld } from './world.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** An installation on PostgreSQL, served by a process that runs nothing itself. */
interface Installation {
  readonly world: World;
  readonly asker: ImageService;
  readonly overrides: Readonly<Record<string, string>>;
  worker(order?: Pick<WorkerOrder, 'faults' | 'fate'>, more?: Readonly<Record<string, string>>): Promise<WorkerProcess>;
}

async function install(more: Readonly<Record<string, string>> = {}): Promise<Installation> {
  const url = await (await testPostgres()).database();
  const world = await makeWorld();
  closing.push(() => world.remove());
  await writeFile(world.path('disk.raw'), SOURCE);
  const overrides = { 'database.connection': url, 'taskflow_executor.conversion_format': 'qcow2', ...more };
  const asker = await world.open({ role: 'only asks', overrides });
  return {
    world,
    asker,
    overrides,
    async worker(order = {}, more = {}) {
      const worker = await startWorker({
        configFile: world.configFile,
        overrides: { ...overrides, ...more },
        ...order,
      });
      closing.push(() => worker.end('SIGKILL'));
      return worker;
    },
  };
}

/** Another worker takes over after ten seconds; on a machine that is busy everything else takes its time too. */
const SLOW_MS = 180_000;
const SOURCE = diskBytes();
const WANTED = { diskFormat: 'raw', stores: ['a', 'b'] };

/** What must hold when the import has ended, however many processes it took. */
async function expectOrder({ world, asker }: Installation, { failing }: Faults = {}): Promise<void> {
  const files: string[] = [];
  const [task] = await asker.tasks();
  const image = await asker.image(task?.imageId ?? '');
  if (failing === undefined) {
    expect([task?.status, task?.message, image.status]).toEqual(['success', '', 'active']);
    const contents = await Promise.all(
      image.locations.map(({ store, location }) => readFile(world.storePath(store, location))),
    );
    expect(contents.length).toBe(2);
    expect(contents[0]?.equals(contents[1] ?? Buffer.alloc(0))).toBe(true);
    files.push(...image.locations.map(({ store, location }) => `store-${store}/${location}`));
  } else {
    expect([task?.status, image.status]).toEqual(['failure', 'queued']);
    expect(task?.message).toMatch(new RegExp(`^${failing} fails`));
    expect(image.properties).not.toHaveProperty('os_glance_import_task');
  }
  expect(await world.files()).toEqual(files.sort());
}

describe('a worker dies by SIGKILL and another one brings its import to the end', () => {
  test.each([
    { name: 'in the stages before the store', operation: 15, faults: {} },
    { name: 'while it puts the image into a store', operation: 65, faults: {} },
    { name: 'while it undoes an import that failed', operation: 105, faults: { failing: 'store b' } as const },
  ])(
    '$name',
    async ({ operation, faults }) => {
      const installation = await install();
      const first = await installation.worker({ faults, fate: { signal: 'SIGKILL', operation } });
      const ended = installation.asker.import(installation.world.path('disk.raw'), WANTED).catch(() => {});
      expect(await first.ended).toBe('SIGKILL');
      const second = await installation.worker({ faults });
      await ended;
      await expectOrder(installation, faults);
      expect((await installation.asker.tasks())[0]?.job?.epoch).toBe(2);
      await second.end('SIGTERM');
    },
    SLOW_MS,
  );
});

describe('a worker freezes, is replaced, and wakes up', () => {
  test.each([{ operation: 15 }, { operation: 45 }, { operation: 70 }, { operation: 85 }])(
    'at operation $operation: it is refused every write, and nothing is left of it',
    async ({ operation }) => {
      const installation = await install();
      const frozen = await installation.worker({ fate: { signal: 'SIGSTOP', operation } });
      const ended = installation.asker.import(installation.world.path('disk.raw'), WANTED);
      await stopped(frozen);
      await installation.worker();
      const { image, task } = await ended;
      frozen.child.kill('SIGCONT');
      await frozen.said(/"fenced"/);
      expect(await frozen.end('SIGTERM')).toBe(0);
      expect(await installation.asker.image(image.id)).toEqual(image);
      expect(await installation.asker.task(task.id)).toEqual(task);
      await expectOrder(installation);
    },
    SLOW_MS,
  );
});

/** Returns when the system says that the process is stopped. proc(5), /proc/PID/stat, field 3. */
async function stopped({ child }: WorkerProcess): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
    if (/\) T /.test(stat)) return;
    await new Promise(setImmediate);
  }
}

/** A web server whose one file comes as far as it is let. */
interface SlowFile {
  readonly url: string;
  /** Returns when somebody has asked for it and has half of it. */
  asked(times: number): Promise<void>;
  /** From now on all of it comes. */
  release(): void;
}

async function slowFile(): Promise<SlowFile> {
  const waiting: (() => void)[] = [];
  let asked = 0;
  let released = false;
  const listeners = new Set<() => void>();
  const server = createServer((_request, response: ServerResponse) => {
    asked += 1;
    for (const listener of listeners) listener();
    response.writeHead(200, { 'content-length': SOURCE.length });
    const finish = (): void => void response.end(SOURCE.subarray(SOURCE.length / 2));
    response.write(SOURCE.subarray(0, SOURCE.length / 2));
    if (released) finish();
    else waiting.push(finish);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.raw`,
    asked: (times) =>
      new Promise((resolve) => {
        const look = (): void => void (asked >= times && resolve());
        listeners.add(look);
        look();
      }),
    release() {
      released = true;
      for (const finish of waiting.splice(0)) finish();
    },
  };
}

interface Served extends Installation {
  readonly api: ImageServer;
  readonly file: SlowFile;
  call(path: string, init?: RequestInit): Promise<Response>;
  /** Asks for an import of the slow file and gives the path of its task. */
  begin(): Promise<string>;
  /** What the events of the task say, until its end; `onText` gets all of it that has come, whenever more comes. */
  events(task: string, onText?: (told: string) => void): Promise<string>;
}

async function serve(more: Readonly<Record<string, string>> = {}): Promise<Served> {
  const file = await slowFile();
  const overrides = {
    'import_filtering_opts.allowed_import_addresses': '127.0.0.1',
    'import_filtering_opts.allowed_import_ports': new URL(file.url).port,
    ...more,
  };
  const installation = await install(overrides);
  const { world } = installation;
  const api = await serveImages({
    configFiles: [world.configFile],
    environment: {},
    overrides: { ...installation.overrides, 'diskmorph.run_tasks': 'false' },
    authenticator: HEADER_AUTHENTICATION,
    port: 0,
    version: '0',
  });
  closing.push(() => api.close());
  const call = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${api.url}${path}`, {
      ...init,
      headers: { ...init.headers, 'x-test-caller': 'project:admin' },
    });
  const post = (path: string, body: unknown): Promise<Response> =>
    call(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  return {
    ...installation,
    api,
    file,
    call,
    async begin() {
      const input = { import_from: file.url, import_from_format: 'raw', image_properties: { name: 'disk' } };
      const answer = await post('/v2/tasks', { type: 'import', input });
      expect(answer.status).toBe(201);
      return answer.headers.get('location') ?? '';
    },
    async events(task, onText) {
      const { body } = await call(`${task}/events`);
      let told = '';
      for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        told += text;
        onText?.(told);
      }
      return told;
    },
  };
}

describe('over the API of a process that runs nothing itself', () => {
  test('progress comes from the worker, and a cancellation reaches it', async () => {
    const served = await serve();
    await served.worker();
    const task = await served.begin();
    await served.file.asked(1);
    const moves = Promise.withResolvers<void>();
    const events = served.events(task, (told) => {
      if (/event: progress\ndata: {"phase":"stage"/.test(told)) moves.resolve();
    });
    await moves.promise;
    expect((await served.call(`${task}/actions/cancel`, { method: 'POST' })).status).toBe(202);
    expect(await events).toMatch(/"error_code":"cancelled"/);
    expect(await served.world.files()).toEqual([]);
  });

  test('a worker that is stopped hands its import over', async () => {
    const served = await serve();
    const first = await served.worker();
    const task = await served.begin();
    await served.file.asked(1);
    const events = served.events(task);
    await served.worker();
    expect(await first.end('SIGTERM')).toBe(0);
    served.file.release();
    expect(await events).toMatch(/"status":"success"/);
    const job = (await served.asker.tasks())[0]?.job;
    expect([job?.epoch, job?.steps.map((step) => step.attempts)]).toEqual([2, expect.toSatisfy(allOnce)]);
  });

  test('a worker that is drained finishes its import, takes no other, and ends', async () => {
    const served = await serve();
    const worker = await served.worker();
    await served.begin();
    await served.file.asked(1);
    worker.child.kill('SIGUSR1');
    await worker.said(/^"draining"$/);
    await served.begin();
    served.file.release();
    expect(await worker.ended).toBe(0);
    const tasks = await served.asker.tasks();
    expect(tasks.map((task) => task.status)).toEqual(['pending', 'success']);
  });

  test('no more imports of one project run at a time than allowed, over all workers', async () => {
    const served = await serve({ 'diskmorph.max_workers_per_project': '1' });
    await Promise.all([served.worker(), served.worker()]);
    const tasks = [await served.begin(), await served.begin()];
    await served.file.asked(1);
    const events = tasks.map((task) => served.events(task));
    // Several looks into the queue later it is still one.
    await Promise.race([served.file.asked(2).then(() => expect.unreachable()), delay(3000)]);
    served.file.release();
    for (const told of await Promise.all(events)) expect(told).toMatch(/"status":"success"/);
  });
});

interface Api {
  readonly server: ImageServer;
  call(line: string, body?: BodyInit | Uint8Array, type?: string): Promise<Response>;
}

async function serveApi({ world, overrides }: Installation, more: Readonly<Record<string, string>> = {}): Promise<Api> {
  const server = await serveImages({
    configFiles: [world.configFile],
    environment: {},
    overrides: { ...overrides, 'diskmorph.run_tasks': 'false', ...more },
    port: 0,
    version: '0',
  });
  closing.push(() => server.close());
  const call: Api['call'] = (line, body, type = 'application/octet-stream') => {
    const [method = '', path = ''] = line.split(' ');
    const sent = body === undefined ? {} : { body, headers: { 'content-type': type }, duplex: 'half' };
    return fetch(`${server.url}${path}`, { method, ...sent } as RequestInit);
  };
  return { server, call };
}

async function newImage({ call }: Api): Promise<string> {
  const body = JSON.stringify({ disk_format: 'raw', container_format: 'bare' });
  const answer = await call('POST /v2/images', body, 'application/json');
  return ((await answer.json()) as { readonly id: string }).id;
}

describe('several processes serve the API', () => {
  test('one that starts leaves alone what is being sent to another one', async () => {
    const installation = await install();
    const first = await serveApi(installation);
    const image = await newImage(first);
    const rest = Promise.withResolvers<void>();
    const sent = Promise.withResolvers<void>();
    const data = new ReadableStream({
      async start(controller) {
        controller.enqueue(SOURCE.subarray(0, 4096));
        sent.resolve();
        await rest.promise;
        controller.enqueue(SOURCE.subarray(4096));
        controller.close();
      },
    });
    const upload = first.call(`PUT /v2/images/${image}/file`, data);
    await sent.promise;
    while ((await installation.asker.image(image)).status !== 'saving') await delay(10);
    const second = await serveApi(installation);
    rest.resolve();
    expect((await upload).status).toBe(204);
    const stored = await second.call(`GET /v2/images/${image}/file`);
    expect(Buffer.from(await stored.arrayBuffer()).equals(SOURCE)).toBe(true);
  });

  test('what was staged on a machine that shares nothing is imported there, whoever is asked', async () => {
    const apart = { 'diskmorph.staging_scope': 'node' };
    const installation = await install(apart);
    const machine = async (name: string): Promise<Readonly<Record<string, string>>> => {
      const [work, staging] = [installation.world.path(`work-${name}`), installation.world.path(`staging-${name}`)];
      for (const directory of [work, staging]) await mkdir(directory);
      return {
        'diskmorph.node_name': name,
        'os_glance_tasks_store.filesystem_store_datadir': work,
        'os_glance_staging_store.filesystem_store_datadir': staging,
      };
    };
    const machines = { here: await machine('here'), there: await machine('there') };
    const here = await serveApi(installation, machines.here);
    const there = await serveApi(installation, machines.there);
    const image = await newImage(here);
    expect((await here.call(`PUT /v2/images/${image}/stage`, SOURCE)).status).toBe(204);
    const request = JSON.stringify({ method: { name: 'glance-direct' } });
    const answer = await there.call(`POST /v2/images/${image}/import`, request, 'application/json');
    expect(answer.status).toBe(202);
    const task = answer.headers.get('location') ?? '';
    await installation.worker({}, machines.there);
    await installation.worker({}, machines.here);
    expect(await (await there.call(`GET ${task}/events`)).text()).toMatch(/"status":"success"/);
    expect((await installation.asker.image(image)).status).toBe('active');
  });
});

function allOnce(attempts: readonly number[]): boolean {
  return attempts.length > 3 && attempts.every((count) => count === 1);
}
