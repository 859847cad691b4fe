import { expect } from 'vitest';
import type { Answer, ApiWorld, ApiWorldOptions } from './api-world.ts';
import { HEADER_AUTHENTICATION, makeApiWorld } from './api-world.ts';

const PATCH = { 'content-type': 'application/openstack-images-v2.1-json-patch', accept: 'application/json' };
const OCTETS = { 'content-type': 'application/octet-stream' };
/** What images of these tests are. */
export const RAW: Readonly<Record<string, string>> = { disk_format: 'raw', container_format: 'bare' };

/** A service with two stores of its own and the web as a third one; what images give up goes at once. */
export function makePlaceWorld({ overrides, ...options }: ApiWorldOptions = {}): Promise<ApiWorld> {
  return makeApiWorld({
    authenticator: HEADER_AUTHENTICATION,
    ...options,
    overrides: {
      'DEFAULT.enabled_backends': 'a:file, b:file, web:http',
      'web.http_allowed_addresses': '127.0.0.1',
      'diskmorph.replaced_data_grace': '0',
      ...overrides,
    },
  });
}

/** Registers an image, and gives its id. */
export async function registered(world: ApiWorld, as: string, body: object = RAW): Promise<string> {
  const made = await world.call('POST /v2/images', { as, body });
  expect(made.status).toBe(201);
  return String(made.json['id']);
}

/** The id of an active image with these bytes. */
export async function uploaded(world: ApiWorld, as: string, body: Uint8Array): Promise<string> {
  const id = await registered(world, as);
  expect((await world.call(`PUT /v2/images/${id}/file`, { as, headers: OCTETS, body })).status).toBe(204);
  return id;
}

/** Changes an image by JSON patch. */
export function patched(
  world: ApiWorld,
  id: string,
  change: { readonly as: string; readonly operations: readonly object[] },
): Promise<Answer> {
  const { as, operations } = change;
  return world.call(`PATCH /v2/images/${id}`, { as, headers: PATCH, body: JSON.stringify(operations) });
}
