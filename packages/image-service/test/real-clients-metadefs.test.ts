/** Metadata definitions by Debian's `glance` client, against a service without authentication. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';

let world: ApiWorld;
let program: string;

beforeAll(async () => {
  program = await requirePackage('glance', 'python3-glanceclient');
  world = await makeApiWorld();
  // The client keeps what it learns of a service in the home directory.
  await mkdir(world.path('home'));
});
afterAll(() => world.remove());

/** Runs the client and gives its output; fails the test when it fails. */
async function glance(...parameters: readonly string[]): Promise<string> {
  const line = ['--os-image-url', world.url, '--os-auth-token', 'none', ...parameters];
  const env = { ...process.env, HOME: world.path('home'), LC_ALL: 'C.UTF-8' };
  const { stdout, stderr, ...child } = spawnPiped(program, line, env);
  const [out, complaint, [code]] = await Promise.all([text(stdout), text(stderr), child.closed]);
  expect(code, `${parameters.join(' ')}\n${out}${complaint}`).toBe(0);
  return out;
}

function spawnPiped(path: string, line: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(path, line, { stdio: ['ignore', 'pipe', 'pipe'], env });
  return { stdout: child.stdout, stderr: child.stderr, closed: once(child, 'close') };
}

test('namespaces', async () => {
  const added = await glance('md-namespace-create', 'OS::Test', '--display-name', 'Test', '--visibility', 'public');
  expect(added).toMatch(/namespace +\| OS::Test/);
  await writeFile(
    world.path('imported.json'),
    JSON.stringify({
      namespace: 'OS::Imported',
      visibility: 'private',
      resource_type_associations: [{ name: 'OS::Glance::Image', prefix: 'hw_' }],
      properties: { cpus: { title: 'CPUs', type: 'integer', default: 4 } },
      objects: [{ name: 'group', properties: { size: { title: 'Size', type: 'string', enum: ['s', 'l'] } } }],
      tags: [{ name: 'blue' }],
    }),
  );
  await glance('md-namespace-import', '--file', world.path('imported.json'));
  const shown = await glance('md-namespace-show', 'OS::Imported', '--resource-type', 'OS::Glance::Image');
  expect(shown).toContain('hw_cpus');
  expect(shown).toContain('group');
  const listed = await glance('md-namespace-list', '--resource-types', 'OS::Glance::Image', '--page-size', '1');
  expect(listed).toContain('OS::Imported');
  expect(listed).not.toContain('OS::Test');
  expect(await glance('md-namespace-list', '--page-size', '1')).toMatch(
    /OS::Test[^]*OS::Imported|OS::Imported[^]*OS::Test/,
  );
  await glance('md-namespace-update', 'OS::Imported', '--description', 'Changed', '--protected', 'False');
  expect(await glance('md-namespace-show', 'OS::Imported')).toMatch(/description +\| Changed/);
});

test('resource types', async () => {
  await glance('md-resource-type-associate', 'OS::Test', '--name', 'OS::Nova::Flavor', '--prefix', 'hw:');
  expect(await glance('md-resource-type-list')).toContain('OS::Nova::Flavor');
  expect(await glance('md-namespace-resource-type-list', 'OS::Test')).toMatch(/OS::Nova::Flavor[^\n]*hw:/);
  await glance('md-resource-type-deassociate', 'OS::Test', 'OS::Nova::Flavor');
  expect(await glance('md-namespace-resource-type-list', 'OS::Test')).not.toContain('OS::Nova::Flavor');
});

test('properties', async () => {
  const schema = JSON.stringify({ type: 'string', enum: ['a', 'b'], default: 'a' });
  await glance('md-property-create', 'OS::Test', '--name', 'mode', '--title', 'Mode', '--schema', schema);
  await glance('md-property-update', 'OS::Test', 'mode', '--name', 'mode2', '--title', 'Second');
  expect(await glance('md-property-show', 'OS::Test', 'mode2')).toMatch(/title +\| Second/);
  expect(await glance('md-property-list', 'OS::Test')).toMatch(/mode2 +\| Second +\| string/);
  await glance('md-property-delete', 'OS::Test', 'mode2');
  await glance('md-property-create', 'OS::Test', '--name', 'other', '--title', 'Other', '--schema', schema);
  await glance('md-namespace-properties-delete', 'OS::Test');
  expect(await glance('md-property-list', 'OS::Test')).not.toContain('other');
});

test('objects', async () => {
  const schema = JSON.stringify({ description: 'A group', properties: { p: { title: 'P', type: 'integer' } } });
  await glance('md-object-create', 'OS::Test', '--name', 'group', '--schema', schema);
  await glance('md-object-update', 'OS::Test', 'group', '--name', 'group2');
  expect(await glance('md-object-show', 'OS::Test', 'group2')).toMatch(/description +\| A group/);
  expect(await glance('md-object-property-show', 'OS::Test', 'group2', 'p')).toMatch(/title +\| P/);
  expect(await glance('md-object-list', 'OS::Test')).toContain('group2');
  await glance('md-object-delete', 'OS::Test', 'group2');
  await glance('md-object-create', 'OS::Test', '--name', 'other', '--schema', '{}');
  await glance('md-namespace-objects-delete', 'OS::Test');
  expect(await glance('md-object-list', 'OS::Test')).not.toContain('other');
});

test('tags', async () => {
  // Its option --append fails in the client of Debian 12 before anything is sent.
  await glance('md-tag-create-multiple', 'OS::Test', '--names', 'two,three');
  await glance('md-tag-create', 'OS::Test', '--name', 'one');
  await glance('md-tag-update', 'OS::Test', 'three', '--name', 'four');
  expect(await glance('md-tag-show', 'OS::Test', 'four')).toMatch(/name +\| four/);
  const listed = await glance('md-tag-list', 'OS::Test');
  for (const name of ['one', 'two', 'four']) expect(listed).toContain(name);
  await glance('md-tag-create-multiple', 'OS::Test', '--names', 'five six', '--delim', ' ');
  await glance('md-tag-delete', 'OS::Test', 'five');
  expect(await glance('md-tag-list', 'OS::Test')).not.toMatch(/one|two|four|five/);
  await glance('md-namespace-tags-delete', 'OS::Test');
  expect(await glance('md-tag-list', 'OS::Test')).not.toContain('six');
});

test('a namespace goes with all that is in it', async () => {
  await glance('md-namespace-delete', 'OS::Test');
  await glance('md-namespace-delete', 'OS::Imported');
  expect(await glance('md-namespace-list')).not.toContain('OS::');
});
