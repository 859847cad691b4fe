import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImageRecord } from '../src/catalog/image.ts';
import { formAt } from '../src/catalog/image.ts';
import { makeApiWorld } from './api-world.ts';
import { failureOf, withBrokenStore } from './import-cases.ts';
import type { World } from './world.ts';
import { diskBytes, isoBytes, makeWorld, qemuImg, sha512 } from './world.ts';

/** Stores that want raw, qcow2 and qcow2; the default one is the first. */
const MIXED: Readonly<Record<string, string>> = {
  'DEFAULT.enabled_backends': 'a:file, b:file, c:file',
  'a.output_format': 'raw',
  'b.output_format': 'qcow2',
  'c.output_format': 'qcow2',
};

let world: World;
let raw: string;
let overrides: Readonly<Record<string, string>>;
beforeEach(async () => {
  world = await makeWorld();
  raw = world.path('disk.raw');
  await writeFile(raw, diskBytes());
  await mkdir(world.path('store-c'));
  overrides = { ...MIXED, 'c.filesystem_store_datadir': world.path('store-c') };
});
afterEach(() => world.remove());

/** What lies in each store, as the catalogue says, held against the file there. */
async function formats(image: ImageRecord): Promise<Readonly<Record<string, string | null>>> {
  const found: Record<string, string | null> = {};
  for (const place of image.locations) {
    const form = formAt(image, place);
    const path = world.storePath(place.store, place.location);
    expect(form).toMatchObject({ size: (await stat(path)).size, osHashValue: await sha512(path) });
    const format = form.diskFormat ?? '';
    expect(await qemuImg('compare', '-f', 'raw', '-F', format, raw, path)).toContain('Images are identical');
    found[place.store] = format;
  }
  return found;
}

describe('stores that want different formats', () => {
  test('each gets its own; each conversion is made once; the record is about that of the default store', async () => {
    const targets: string[] = [];
    const service = await world.open({
      overrides,
      intercept: (parts) => ({
        ...parts,
        tools: {
          ...parts.tools,
          convert(conversion, work) {
            targets.push(conversion.target.format);
            return parts.tools.convert(conversion, work);
          },
        },
      }),
    });
    const { image, task } = await service.import(raw, { diskFormat: 'raw', stores: ['c', 'a', 'b'] });
    expect(await formats(image)).toEqual({ a: 'raw', b: 'qcow2', c: 'qcow2' });
    expect(targets).toEqual(['qcow2']);
    expect(image).toMatchObject({ diskFormat: 'raw', size: (await stat(raw)).size, osHashValue: await sha512(raw) });
    expect(image.locations.map(({ store, form }) => [store, form?.diskFormat])).toEqual([
      ['c', 'qcow2'],
      ['a', undefined],
      ['b', 'qcow2'],
    ]);
    expect(image.properties).toMatchObject({ source_format: 'raw', source_hash: `sha512:${await sha512(raw)}` });
    expect(task.job?.steps.map((step) => step.name.replace(`-${task.id}`, ''))).toEqual(
      ['Stage', 'Inspect', 'Convert', 'Verify', 'Convert-qcow2', 'Verify-qcow2', 'Store-c', 'Store-a', 'Store-b']
        .concat('Activate')
        .map((name) => `import-${name}`),
    );
    expect((await world.files()).filter((file) => file.startsWith('work'))).toEqual([]);
  });

  test('without the default store the record is about that of the first', async () => {
    const service = await world.open({ overrides: { ...overrides, 'c.output_format': 'vmdk' } });
    const { image } = await service.import(raw, { diskFormat: 'raw', stores: ['c', 'b'] });
    expect(image.diskFormat).toBe('vmdk');
    expect(await formats(image)).toEqual({ b: 'qcow2', c: 'vmdk' });
  });

  test('a store without a wish gets what is configured for all, or what came', async () => {
    const { 'c.output_format': _wish, ...wishes } = overrides;
    const asItCame = await world.open({ overrides: { ...wishes, 'b.output_format': 'vmdk' } });
    const { image } = await asItCame.import(raw, { diskFormat: 'raw', stores: ['b', 'c'] });
    expect(await formats(image)).toEqual({ b: 'vmdk', c: 'raw' });
    await asItCame.close();
    const general = await world.open({ overrides: { ...wishes, 'taskflow_executor.conversion_format': 'vmdk' } });
    const { image: second } = await general.import(raw, { diskFormat: 'raw', stores: ['a', 'c'] });
    expect(await formats(second)).toEqual({ a: 'raw', c: 'vmdk' });
  });

  test('a format that is asked for by name is the one of all', async () => {
    const service = await world.open({ overrides });
    const wanted = { diskFormat: 'raw', stores: ['a', 'b'], conversionFormat: 'vmdk' };
    const { image } = await service.import(raw, wanted);
    expect(await formats(image)).toEqual({ a: 'vmdk', b: 'vmdk' });
    expect(image.locations.every(({ form }) => form === undefined)).toBe(true);
  });

  test('an ISO stays one everywhere', async () => {
    const iso = world.path('disk.iso');
    await writeFile(iso, isoBytes());
    const service = await world.open({ overrides });
    const { image } = await service.import(iso, { diskFormat: 'iso', stores: ['a', 'b'] });
    expect(image.diskFormat).toBe('iso');
    expect(image.locations.every(({ form }) => form === undefined)).toBe(true);
    for (const { store, location } of image.locations) {
      expect(await readFile(world.storePath(store, location))).toEqual(isoBytes());
    }
  });

  test('when the store that the record would be about fails, it is about the next', async () => {
    const service = await world.open({ overrides, intercept: withBrokenStore('a') });
    const wanted = { diskFormat: 'raw', stores: ['a', 'b'], allStoresMustSucceed: false };
    const { image } = await service.import(raw, wanted);
    expect(image).toMatchObject({ diskFormat: 'qcow2', properties: { os_glance_failed_import: 'a' } });
    expect(image.locations.map(({ store, form }) => [store, form])).toEqual([['b', undefined]]);
    expect(await formats(image)).toEqual({ b: 'qcow2' });
  });

  test('when a further conversion fails, nothing is stored and nothing is left', async () => {
    const service = await world.open({
      overrides,
      intercept: (parts) => ({
        ...parts,
        tools: { ...parts.tools, verify: () => Promise.reject(new Error('the result is wrong')) },
      }),
    });
    const failure = await failureOf(service.import(raw, { diskFormat: 'raw', stores: ['a', 'b'] }));
    expect(failure.task.job?.failure?.step).toMatch(/-Verify-.*-qcow2$/);
    expect(await service.image(failure.task.imageId ?? '')).toMatchObject({ status: 'queued', locations: [] });
    expect(await world.files()).toEqual([]);
  });
});

describe('over HTTP', () => {
  test('a download is what the record says, ?format= what another store has; the last place of the record stays', async () => {
    const served = await makeApiWorld({ overrides: { 'b.output_format': 'qcow2', 'a.output_format': 'raw' } });
    try {
      const bytes = await readFile(raw);
      const body = { disk_format: 'raw', container_format: 'bare' };
      const id = String((await served.call('POST /v2/images', { body })).json['id']);
      const headers = { 'content-type': 'application/octet-stream' };
      await served.call(`PUT /v2/images/${id}/stage`, { body: bytes, headers });
      const wish = { method: { name: 'glance-direct' }, all_stores: true };
      const begun = await served.call(`POST /v2/images/${id}/import`, { body: wish });
      await served.call(`GET ${begun.headers.get('location')}/events`);
      const image = (await served.call(`GET /v2/images/${id}`)).json;
      expect(image).toMatchObject({ disk_format: 'raw', stores: 'a,b', os_glance_stored_formats: 'a:raw,b:qcow2' });
      const [name = ''] = await readdir(served.path('store-b'));
      const qcow2 = await readFile(served.storePath('b', name));
      for (const [query, wanted] of [
        ['', bytes],
        ['?format=raw', bytes],
        ['?format=qcow2', qcow2],
      ] as const) {
        const answer = await fetch(`${served.url}/v2/images/${id}/file${query}`);
        expect(answer.headers.get('content-md5')).toBe(createHash('md5').update(wanted).digest('hex'));
        expect(Buffer.from(await answer.arrayBuffer()).equals(wanted)).toBe(true);
      }
      expect((await served.call(`DELETE /v2/stores/a/${id}`)).status).toBe(403);
      expect((await served.call(`DELETE /v2/stores/b/${id}`)).status).toBe(204);
      expect((await served.call(`GET /v2/images/${id}`)).json).not.toHaveProperty('os_glance_stored_formats');
    } finally {
      await served.remove();
    }
  });
});
