/** The schemas that are served are those that check what is sent. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

interface Rules {
  readonly readOnly?: boolean;
  readonly enum?: readonly unknown[];
  readonly maxLength?: number;
}

const PATCH = { 'content-type': 'application/openstack-images-v2.1-json-patch' };

let world: ApiWorld;
let properties: Readonly<Record<string, Rules>>;
let imageId: string;
beforeAll(async () => {
  world = await makeApiWorld();
  properties = (await world.call('GET /v2/schemas/image')).json['properties'] as typeof properties;
  imageId = String((await world.call('POST /v2/images', { body: {} })).json['id']);
});
afterAll(() => world.remove());

async function create(body: Readonly<Record<string, unknown>>): Promise<number> {
  return (await world.call('POST /v2/images', { body })).status;
}

async function change(name: string, value: unknown): Promise<number> {
  const body = JSON.stringify([{ op: 'add', path: `/${name}`, value }]);
  return (await world.call(`PATCH /v2/images/${imageId}`, { headers: PATCH, body })).status;
}

describe('schemas/image', () => {
  test('what it calls read-only cannot be set', async () => {
    const readOnly = Object.keys(properties).filter((name) => properties[name]?.readOnly === true);
    expect(readOnly).toEqual(expect.arrayContaining(['status', 'checksum', 'size', 'created_at', 'self', 'file']));
    for (const name of readOnly)
      expect([name, await create({ [name]: null }), await change(name, 'x')]).toEqual([name, 403, 403]);
  });

  test('of a list of values no other is taken', async () => {
    const listed = Object.keys(properties).filter(
      (name) => properties[name]?.enum && properties[name]?.readOnly !== true,
    );
    expect(listed.sort()).toEqual(['container_format', 'disk_format', 'visibility']);
    for (const name of listed) {
      expect([name, await create({ [name]: 'no-such-thing' }), await change(name, 'no-such-thing')]).toEqual([
        name,
        400,
        400,
      ]);
      for (const value of properties[name]?.enum ?? [])
        expect([name, value, await create({ [name]: value })]).toEqual([name, value, 201]);
    }
  });

  test.each([
    ['name', 'n'.repeat(256)],
    ['name', 5],
    ['owner', 'o'.repeat(256)],
    ['protected', 'true'],
    ['os_hidden', 1],
    ['min_ram', -1],
    ['min_ram', 2 ** 31],
    ['min_disk', '5'],
    ['min_disk', 1.5],
    ['tags', 'blue'],
    ['tags', [5]],
    ['tags', ['t'.repeat(256)]],
    ['a_property', 5],
    ['a_property', true],
    ['a_property', null],
    ['a_property', ['x']],
    ['a_property', { x: 'y' }],
  ])('%s: %j is refused', async (name, value) => {
    expect([await create({ [name]: value }), await change(name, value)]).toEqual([400, 400]);
  });

  test('an id is a UUID', async () => {
    expect(await create({ id: 'not-one' })).toBe(400);
    expect(await create({ id: '00000000-0000-4000-8000-000000000000' })).toBe(201);
  });

  test('every other name is a property that is a text', async () => {
    const made = await world.call('POST /v2/images', { body: { a_property: 'x', 'hw:other': '' } });
    expect([made.status, made.json['a_property'], made.json['hw:other']]).toEqual([201, 'x', '']);
  });
});
