import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Caller, PolicyTarget } from '../caller.ts';
import { LOCAL_ADMINISTRATOR } from '../caller.ts';
import type { ImageAudience } from '../visibility.ts';
import { knowsOfImage } from '../visibility.ts';
import { DEFAULT_RULES } from './default-rules.ts';
import { makePolicy } from './policy.ts';

const { policy } = makePolicy();

function person(projectId: string | null, ...roles: string[]): Caller {
  return { ...LOCAL_ADMINISTRATOR, userId: 'someone', projectId, roles, isAdmin: roles.includes('admin') };
}

/** The callers of every table, in the order of its columns. */
const CALLERS: Readonly<Record<string, Caller>> = {
  owner: person('mine', 'member', 'reader'),
  'reader of the owner': person('mine', 'reader'),
  'other project': person('other', 'member', 'reader'),
  'project it is shared with': person('friend', 'member', 'reader'),
  admin: person('ops', 'admin', 'member', 'reader'),
  service: person('services', 'service'),
  nobody: person('mine'),
  'no project': person(null, 'member', 'reader'),
};

/** A private image of project `mine`, asked about as its member `friend`. */
const PRIVATE: PolicyTarget = { project_id: 'mine', owner: 'mine', member_id: 'friend', visibility: 'private' };

function whoMay(rule: string, target: PolicyTarget): string {
  return Object.entries(CALLERS)
    .filter(([, caller]) => policy.allows(rule, caller, target))
    .map(([name]) => name)
    .join(', ');
}

const EVERYBODY = Object.keys(CALLERS).join(', ');
const ADMIN = 'admin';
const OWNER = 'owner, admin';
const READERS = 'owner, reader of the owner, admin';
const SHARED_READERS = 'owner, reader of the owner, project it is shared with, admin';

const EXPECTED: Readonly<Record<string, string>> = {
  default: EVERYBODY,
  context_is_admin: ADMIN,
  service_api: 'admin, service',
  add_image: OWNER,
  get_image: SHARED_READERS,
  get_images: READERS,
  modify_image: OWNER,
  delete_image: OWNER,
  publicize_image: ADMIN,
  communitize_image: OWNER,
  download_image: 'owner, project it is shared with, admin',
  upload_image: OWNER,
  deactivate: OWNER,
  reactivate: OWNER,
  copy_image: ADMIN,
  get_image_location: READERS,
  set_image_location: OWNER,
  delete_image_location: ADMIN,
  add_image_location: 'owner, admin, service',
  fetch_image_location: 'admin, service',
  add_member: OWNER,
  get_member: SHARED_READERS,
  get_members: SHARED_READERS,
  modify_member: 'project it is shared with, admin',
  delete_member: OWNER,
  tasks_api_access: ADMIN,
  get_task: EVERYBODY,
  get_tasks: EVERYBODY,
  add_task: EVERYBODY,
  modify_task: EVERYBODY,
  manage_image_cache: ADMIN,
  cache_image: ADMIN,
  cache_list: ADMIN,
  cache_delete: ADMIN,
  cache_clean: ADMIN,
  cache_prune: ADMIN,
  list_cached_nodes: ADMIN,
  stores_info_detail: 'admin, service',
  convert_image: OWNER,
  inspect_image: READERS,
  cancel_import: OWNER,
  metadef_default: EVERYBODY,
  metadef_admin: ADMIN,
  get_metadef_namespaces: READERS,
  get_metadef_namespace: READERS,
  get_metadef_object: READERS,
  get_metadef_objects: READERS,
  get_metadef_resource_type: READERS,
  list_metadef_resource_types: READERS,
  get_metadef_property: READERS,
  get_metadef_properties: READERS,
  get_metadef_tag: READERS,
  get_metadef_tags: READERS,
  add_metadef_namespace: ADMIN,
  modify_metadef_namespace: ADMIN,
  delete_metadef_namespace: ADMIN,
  add_metadef_object: ADMIN,
  modify_metadef_object: ADMIN,
  delete_metadef_object: ADMIN,
  add_metadef_property: ADMIN,
  modify_metadef_property: ADMIN,
  remove_metadef_property: ADMIN,
  add_metadef_tag: ADMIN,
  add_metadef_tags: ADMIN,
  modify_metadef_tag: ADMIN,
  delete_metadef_tag: ADMIN,
  delete_metadef_tags: ADMIN,
  add_metadef_resource_type_association: ADMIN,
  remove_metadef_resource_type_association: ADMIN,
};

describe('who may do what to a private thing of project "mine" by default', () => {
  test('every rule is in the table, once', () => {
    expect(DEFAULT_RULES.map(({ name }) => name).sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  test.each(Object.entries(EXPECTED))('%s: %s', (rule, expected) => {
    expect(whoMay(rule, PRIVATE)).toBe(expected);
  });
});

describe('visibility opens reading and nothing else', () => {
  const seen = new Set(['get_image', 'download_image']);
  const ALL_READERS = 'owner, reader of the owner, other project, project it is shared with, admin, no project';
  const ALL_MEMBERS = 'owner, other project, project it is shared with, admin, no project';
  test.each([
    ['public', 'get_image', ALL_READERS],
    ['community', 'get_image', ALL_READERS],
    ['shared', 'get_image', ALL_READERS],
    ['public', 'download_image', ALL_MEMBERS],
    ['community', 'download_image', ALL_MEMBERS],
    ['shared', 'download_image', ALL_MEMBERS],
    ['public', 'get_metadef_namespace', ALL_READERS],
    ['community', 'get_metadef_namespace', READERS],
  ])('%s, %s: %s', (visibility, rule, expected) => {
    expect(whoMay(rule, { ...PRIVATE, visibility })).toBe(expected);
  });

  test.each(['public', 'community', 'shared'])(
    '%s: no other rule answers otherwise than for a private image',
    (visibility) => {
      for (const [rule, expected] of Object.entries(EXPECTED)) {
        if (seen.has(rule) || /^(get|list)_metadef_/.test(rule)) continue;
        expect([rule, whoMay(rule, { ...PRIVATE, visibility })]).toEqual([rule, expected]);
      }
    },
  );
});

test('what nobody owns is for administrators to change', () => {
  for (const rule of ['modify_image', 'delete_image', 'upload_image', 'add_member', 'convert_image']) {
    expect([rule, whoMay(rule, { project_id: null, owner: null, visibility: 'public' })]).toEqual([rule, ADMIN]);
  }
});

test('nobody makes images that belong to another project', () => {
  expect(whoMay('add_image', { project_id: 'mine', owner: 'other' })).toBe(ADMIN);
});

const whoKnows = (visibility: ImageAudience['visibility'], owner: string | null = 'mine'): string =>
  Object.entries(CALLERS)
    .filter(([, caller]) =>
      knowsOfImage(caller, { owner, visibility, sharedWithCaller: caller.projectId === 'friend' }),
    )
    .map(([name]) => name)
    .join(', ');

describe('who knows of an image', () => {
  const OWN_PROJECT = 'owner, reader of the owner, admin, nobody';

  test.each([
    ['private', OWN_PROJECT],
    ['shared', 'owner, reader of the owner, project it is shared with, admin, nobody'],
    ['community', EVERYBODY],
    ['public', EVERYBODY],
  ] as const)('%s: %s', (visibility, expected) => {
    expect(whoKnows(visibility)).toBe(expected);
  });

  test('everybody, where nobody owns it', () => {
    expect(whoKnows('private', null)).toBe(EVERYBODY);
  });
});

test('docs/policy.md has every rule with its default', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../../../docs/policy.md'), 'utf8');
  for (const { name, rule } of DEFAULT_RULES) {
    expect(text).toContain(`| \`${name}\` | ${rule === '' ? '(everybody)' : `\`${rule}\``} |`);
  }
});
