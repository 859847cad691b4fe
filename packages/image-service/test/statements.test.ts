import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageError } from '@diskmorph/disk-image';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openImageService } from '../src/main.ts';
import { failureOf, TO_QCOW2, TO_RAW, withBrokenStore, withTools } from './import-cases.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, qemuImg, sha512 } from './world.ts';

let world: World;
let raw: string;
let qcow2: string;

beforeEach(async () => {
  world = await makeWorld();
  raw = world.path('disk.raw');
  qcow2 = world.path('disk.qcow2');
  await writeFile(raw, diskBytes());
  await qemuImg('convert', '-O', 'qcow2', '-c', raw, qcow2);
});
afterEach(() => world.remove());

describe('statement 1', () => {
  test('the declared source format is used, whatever the content looks like', async () => {
    const sources: unknown[] = [];
    const service = await world.open({
      overrides: TO_QCOW2,
      intercept: (parts) => ({
        ...parts,
        tools: {
          ...parts.tools,
          // An inspector that sees nothing: even then the content does not choose the reader.
          inspect: async (path, options) => {
            const verdict = await parts.tools.inspect(path, options);
            return options.declared === 'raw'
              ? { ...verdict, format: 'raw', findings: [] }
              : { ...verdict, findings: [] };
          },
          convert: (conversion, work) => {
            sources.push(conversion.source.format);
            return parts.tools.convert(conversion, work);
          },
        },
      }),
    });
    const { image } = await service.import(qcow2, { diskFormat: 'raw' });
    expect(sources).toEqual(['raw']);
    const stored = world.storePath('a', image.locations[0]?.location ?? '');
    expect(await qemuImg('compare', '-f', 'raw', '-F', 'qcow2', qcow2, stored)).toContain('Images are identical');
  });
});

describe('statements 2 and 13: a later step fails after the conversion succeeded', () => {
  test('converted and staged files are gone, the image is queued as before, its store has failed', async () => {
    const service = await world.open({ overrides: TO_QCOW2, intercept: withBrokenStore('a') });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw', name: 'n' }));
    expect(error).toMatchObject({ code: 'io', message: 'Store "a": the image could not be stored: the disk is full' });
    expect(await world.files()).toEqual([]);
    const image = await service.image(error.task.imageId ?? '');
    expect(image).toMatchObject({
      name: 'n',
      status: 'queued',
      diskFormat: 'raw',
      containerFormat: 'bare',
      size: null,
      virtualSize: null,
      checksum: null,
      osHashValue: null,
      locations: [],
    });
    expect(image.properties).toEqual({
      os_glance_failed_import: 'a',
      os_glance_import_error: 'io: Store "a": the image could not be stored: the disk is full',
    });
    expect(error.task).toMatchObject({ status: 'failure', errorCode: 'io', result: null });
    expect(error.task.expiresAt).toBeGreaterThan(Date.now());
  });
});

describe('statement 3: the conversion itself fails', () => {
  test('its partial output is gone, the steps before are reverted, the user sees the original error', async () => {
    const service = await world.open({
      overrides: TO_QCOW2,
      intercept: withTools({
        convert: async ({ target }, { checkpointDir }) => {
          await writeFile(target.path, 'half');
          await mkdir(checkpointDir);
          await writeFile(join(checkpointDir, 'checkpoint'), 'x');
          throw new ImageError('truncated', 'The file ends before data that it promises');
        },
      }),
    });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw' }));
    expect(error).toMatchObject({ code: 'truncated', message: 'The file ends before data that it promises' });
    expect(error.task.job?.steps.map((step) => step.state)).toEqual(['reverted', 'reverted', 'reverted']);
    expect(await world.files()).toEqual([]);
  });

  test('S1: an error in a revert is recorded, masks nothing and stops no other revert', async () => {
    let broken = true;
    const service = await world.open({
      overrides: TO_QCOW2,
      intercept: (parts) => ({
        ...parts,
        tools: { ...parts.tools, convert: async () => Promise.reject(new ImageError('corrupt', 'bad table')) },
        staging: {
          ...parts.staging,
          discard: async (path) => {
            if (!broken) return parts.staging.discard(path);
            broken = false;
            throw new ImageError('io', 'x', { cause: Object.assign(new Error('EIO'), { code: 'EIO' }) });
          },
        },
      }),
    });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw' }));
    expect(error.code).toBe('corrupt');
    expect(error.message).toMatch(
      /^bad table; while reverting import-Convert-.*: Reading or writing .* failed \(EIO\)$/,
    );
    expect(error.task.job?.steps.map((step) => step.state)).toEqual(['reverted', 'reverted', 'revert_failed']);
    expect(await world.files()).toEqual([]);
  });
});

describe('statement 4: conversion_format is not set', () => {
  test('one warning per process, the image passes unconverted, the task says so', async () => {
    const logged: string[] = [];
    const service = await world.open({ log: (message) => logged.push(message) });
    const first = await service.import(qcow2, { diskFormat: 'qcow2' });
    await service.import(raw, { diskFormat: 'raw' });
    expect(logged.filter((message) => message.includes('conversion format is None'))).toHaveLength(1);
    expect(first.task).toMatchObject({ status: 'success', message: 'not converted: conversion_format is not set' });
    expect(first.task.job?.warnings).toEqual(['not converted: conversion_format is not set']);
    expect(first.image).toMatchObject({ diskFormat: 'qcow2', size: (await stat(qcow2)).size });
  });
});

test('statement 5: an invalid conversion_format stops the start', async () => {
  const opening = world.open({ overrides: { 'taskflow_executor.conversion_format': 'vhdx' } });
  await expect(opening).rejects.toThrow(
    '[taskflow_executor] conversion_format = vhdx: is not one of the choices; choices: qcow2, raw, vmdk (command line)',
  );
});

test.each([
  { option: 'qcow2_options', value: 'cluster_size=3' },
  { option: 'qcow2_options', value: 'clustersize=65536' },
  { option: 'vmdk_options', value: 'subformat=monolithicFlat' },
])('S21: an impossible option of a target stops the start: $option = $value', async ({ option, value }) => {
  const opening = world.open({ overrides: { [`diskmorph.${option}`]: value } });
  await expect(opening).rejects.toMatchObject({ problems: [{ section: 'diskmorph', option, value }] });
});

test('statement 6: a missing work directory stops the start with its option', async () => {
  const overrides = { 'os_glance_tasks_store.filesystem_store_datadir': world.path('gone') };
  await expect(world.open({ overrides })).rejects.toMatchObject({
    problems: [
      { section: 'os_glance_tasks_store', option: 'filesystem_store_datadir', message: 'the directory does not exist' },
    ],
  });
});

describe('statement 7: already in the wanted format', () => {
  test('not rewritten; virtual_size recorded', async () => {
    const service = await world.open({ overrides: TO_QCOW2 });
    const { image, task } = await service.import(qcow2, { diskFormat: 'qcow2' });
    expect(await sha512(world.storePath('a', image.locations[0]?.location ?? ''))).toBe(await sha512(qcow2));
    expect(image).toMatchObject({
      diskFormat: 'qcow2',
      size: (await stat(qcow2)).size,
      virtualSize: (await stat(raw)).size,
      osHashValue: await sha512(qcow2),
      checksum: createHash('md5')
        .update(await readFile(qcow2))
        .digest('hex'),
    });
    expect(image.properties).not.toHaveProperty('source_format');
    expect(task.message).toBe('not converted: the image is qcow2 already');
  });
});

describe('statement 8: raw -> qcow2', () => {
  test('formats, sizes, digests and the source are recorded with the activation', async () => {
    const service = await world.open({ overrides: TO_QCOW2 });
    const { image, task } = await service.import(raw, { diskFormat: 'raw', containerFormat: 'ovf' });
    const stored = world.storePath('a', image.locations[0]?.location ?? '');
    expect(image).toMatchObject({
      status: 'active',
      diskFormat: 'qcow2',
      containerFormat: 'bare',
      size: (await stat(stored)).size,
      virtualSize: (await stat(raw)).size,
      checksum: createHash('md5')
        .update(await readFile(stored))
        .digest('hex'),
      osHashAlgo: 'sha512',
      osHashValue: await sha512(stored),
    });
    expect(image.properties).toEqual({
      source_format: 'raw',
      source_size: String((await stat(raw)).size),
      source_hash: `sha512:${await sha512(raw)}`,
      os_glance_importing_to_stores: '',
      os_glance_failed_import: '',
    });
    expect(await qemuImg('compare', '-f', 'raw', '-F', 'qcow2', raw, stored)).toContain('Images are identical');
    expect(task).toMatchObject({ type: 'import', status: 'success', result: { image_id: image.id }, message: '' });
    expect(task.job?.steps.map((step) => step.name)).toEqual([
      ...['Stage', 'Inspect', 'Convert', 'Verify', 'Store'].map((stage) =>
        stage === 'Store' ? `import-Store-${task.id}-a` : `import-${stage}-${task.id}`,
      ),
      `import-Activate-${task.id}`,
    ]);
    expect(await world.files()).toEqual([`store-a/${image.locations[0]?.location}`]);
  });

  test('S21: the options of the target hold', async () => {
    const overrides = { ...TO_QCOW2, 'diskmorph.qcow2_options': 'cluster_size=4096,compression=zstd' };
    const service = await world.open({ overrides });
    const { image } = await service.import(raw, { diskFormat: 'raw' });
    const info = await qemuImg('info', world.storePath('a', image.locations[0]?.location ?? ''));
    expect(info).toContain('cluster_size: 4096');
    expect(info).toContain('compression type: zstd');
  });
});

describe('statement 14: several stores', () => {
  const stores = ['a', 'b'];
  test('all are filled, each with its own copy', async () => {
    const service = await world.open({ overrides: TO_QCOW2 });
    const { image } = await service.import(raw, { diskFormat: 'raw', stores });
    expect(image.locations.map((place) => place.store)).toEqual(stores);
    const files = image.locations.map((place) => world.storePath(place.store, place.location));
    for (const file of files) expect(await sha512(file)).toBe(image.osHashValue);
    const inodes = await Promise.all(files.map(async (file) => (await stat(file)).ino));
    expect(new Set(inodes).size).toBe(2);
  });

  test.each(stores)(
    'all_stores_must_succeed=false: store %s fails, is recorded, the import goes on',
    async (failing) => {
      const other = failing === 'a' ? 'b' : 'a';
      const service = await world.open({ overrides: TO_QCOW2, intercept: withBrokenStore(failing) });
      const { image, task } = await service.import(raw, { diskFormat: 'raw', stores, allStoresMustSucceed: false });
      expect(image).toMatchObject({ status: 'active', locations: [{ store: other }] });
      expect(image.properties).toMatchObject({ os_glance_failed_import: failing, os_glance_importing_to_stores: '' });
      const why = `io: Store "${failing}": the image could not be stored: the disk is full`;
      expect(task.message).toBe(`store "${failing}" could not be filled: ${why}`);
      expect(image.properties).toMatchObject({ os_glance_import_error: task.message });
      expect(await world.files()).toEqual([`store-${other}/${image.locations[0]?.location}`]);
    },
  );

  test('all failing: the import fails', async () => {
    const service = await world.open({ overrides: TO_QCOW2, intercept: withBrokenStore(...stores) });
    const wanted = { diskFormat: 'raw', stores, allStoresMustSucceed: false };
    const error = await failureOf(service.import(raw, wanted));
    expect(error.code).toBe('io');
    const image = await service.image(error.task.imageId ?? '');
    expect(image.properties).toMatchObject({ os_glance_failed_import: 'a,b' });
  });

  test('all must succeed: what was stored is removed again', async () => {
    const service = await world.open({ overrides: TO_QCOW2, intercept: withBrokenStore('b') });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw', stores }));
    const image = await service.image(error.task.imageId ?? '');
    expect(image).toMatchObject({ status: 'queued', locations: [], properties: { os_glance_failed_import: 'a,b' } });
    expect(await world.files()).toEqual([]);
  });

  test('a store gets the format that it wants', async () => {
    const service = await world.open({ overrides: { 'a.conversion_format': 'raw', 'b.conversion_format': 'qcow2' } });
    const { image } = await service.import(raw, { diskFormat: 'raw', stores: ['b'] });
    expect(image.diskFormat).toBe('qcow2');
  });
});

describe('statement 16: residue', () => {
  test('of unknown jobs and cut-off files in stores is removed at start, what others keep there stays', async () => {
    const first = await world.open({ overrides: TO_QCOW2, intercept: withBrokenStore('a') });
    await failureOf(first.import(raw, { diskFormat: 'raw' }));
    let instance = '';
    const service = await world.open({
      overrides: TO_QCOW2,
      intercept: (parts) => {
        instance = parts.catalog.instanceId;
        return parts;
      },
    });
    await first.close();
    const unknown = '00000000-0000-4000-8000-000000000000';
    const scratch = join(world.dir, 'work', `diskmorph-${instance}`, unknown);
    await mkdir(scratch, { recursive: true });
    await writeFile(join(scratch, 'x.converted'), 'x');
    await writeFile(world.storePath('a', `.${instance}.${unknown}.1`), 'x');
    await writeFile(join(world.dir, 'work', 'somebody-elses'), 'x');
    await writeFile(world.storePath('a', unknown), 'x');
    await service.resume();
    expect(await world.files()).toEqual([`store-a/${unknown}`, 'work/somebody-elses']);
  });
});

test('P1: a vhd goes to the reader of that name as soon as there is one', async () => {
  const sources: unknown[] = [];
  const vhd = world.path('disk.vhd');
  await qemuImg('convert', '-O', 'vpc', raw, vhd);
  const forecast = async ({ source }: { readonly source: { readonly format: string } }): Promise<never> => {
    sources.push(source.format);
    throw new ImageError('unsupported', 'enough seen');
  };
  const service = await world.open({
    overrides: TO_QCOW2,
    intercept: withTools({ readable: ['raw', 'qcow2', 'vmdk', 'vhd'], forecast }),
  });
  expect(await failureOf(service.import(vhd, { diskFormat: 'vhd' }))).toMatchObject({ code: 'unsupported' });
  expect(sources).toEqual(['vhd']);
});

test('P4: after a failure the same image can be imported again, and nothing of the failure stays', async () => {
  let broken = true;
  const service = await world.open({
    overrides: TO_QCOW2,
    intercept: (parts) => ({
      ...parts,
      tools: {
        ...parts.tools,
        convert: (conversion, work) =>
          broken ? Promise.reject(new ImageError('corrupt', 'bad table')) : parts.tools.convert(conversion, work),
      },
    }),
  });
  const error = await failureOf(service.import(raw, { diskFormat: 'raw', name: 'n' }));
  const imageId = error.task.imageId ?? '';
  broken = false;
  const { image } = await service.import(raw, { imageId });
  expect(image).toMatchObject({ id: imageId, name: 'n', status: 'active', diskFormat: 'qcow2' });
  expect(Object.keys(image.properties)).not.toContain('os_glance_import_error');
  expect(image.properties).toMatchObject({ os_glance_failed_import: '' });
  expect(image.properties).not.toHaveProperty('os_glance_import_task');
  await expect(service.import(raw, { imageId })).rejects.toMatchObject({ code: 'conflict' });
});

test("P5: a user's change made during the import is kept", async () => {
  const service = await world.open({
    overrides: TO_QCOW2,
    intercept: (parts) => ({
      ...parts,
      tools: {
        ...parts.tools,
        convert: async (conversion, work) => {
          const outcome = await parts.tools.convert(conversion, work);
          const [image] = await parts.catalog.images.list({});
          if (image === undefined) throw new Error('there is an image');
          await parts.catalog.images.save(image, { name: 'renamed', properties: { ...image.properties, os: 'x' } });
          return outcome;
        },
      },
    }),
  });
  const { image } = await service.import(raw, { diskFormat: 'raw' });
  expect(image).toMatchObject({ status: 'active', name: 'renamed', properties: { os: 'x', source_format: 'raw' } });
});

test('S16: progress is shown for each stage and reaches its end; a cancelled import is reverted', async () => {
  const service = await world.open({ overrides: TO_QCOW2 });
  const stages = new Map<string, number | null>();
  await service.import(raw, {
    diskFormat: 'raw',
    onProgress: ({ stage, progress }) => stages.set(stage, progress.percent),
  });
  expect(stages).toMatchObject(
    new Map([
      ['stage', 100],
      ['convert', 100],
      ['verify', 100],
    ]),
  );
  const control = new AbortController();
  const cancelled = service.import(raw, {
    diskFormat: 'raw',
    name: 'second',
    signal: control.signal,
    onProgress: () => control.abort(),
  });
  expect(await failureOf(cancelled)).toMatchObject({ code: 'cancelled', message: 'The task was cancelled' });
  expect((await world.files()).filter((file) => file.startsWith('work'))).toEqual([]);
});

test('with no configuration file the built-in one converts to raw below the state directory', async () => {
  const stateDir = world.path('own-state');
  const service = await openImageService({ stateDir, environment: {} });
  const { image } = await service.import(qcow2);
  await service.close();
  expect(image).toMatchObject({ status: 'active', diskFormat: 'raw', locations: [{ store: 'local' }] });
  expect(await sha512(join(stateDir, 'store', image.locations[0]?.location ?? ''))).toBe(await sha512(raw));
});

test('a second process is refused while the first imports, and may look', async () => {
  const service = await world.open({ overrides: TO_RAW });
  await service.resume();
  const other = await world.open();
  await expect(other.import(raw, { diskFormat: 'raw' })).rejects.toMatchObject({ code: 'locked' });
  expect(await other.images()).toEqual([]);
});
