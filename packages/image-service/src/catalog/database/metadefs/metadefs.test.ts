import { Kysely } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../test/databases.ts';
import { DATABASE_KINDS, makeDatabase } from '../../../../test/databases.ts';
import type { NamespaceDefinition } from '../../metadefs/definition.ts';
import type { MetadefRepo } from '../../metadefs/repository.ts';
import { LOAD_MODES } from '../../metadefs/repository.ts';
import { openCatalog } from '../catalog.ts';
import { migrateDatabase } from '../migrate.ts';
import { CATALOG_MIGRATIONS } from '../migrations.ts';
import type { CatalogTables } from '../tables.ts';

const OLD: NamespaceDefinition = {
  namespace: 'N',
  displayName: 'Old',
  description: null,
  visibility: 'public',
  protected: true,
  owner: 'admin',
  associations: [{ name: 'R', prefix: 'old_', propertiesTarget: null }],
  entries: {
    object: [{ name: 'o', document: { description: 'old', required: [], properties: {} } }],
    property: [{ name: 'p', document: { title: 'old', type: 'string' } }],
    tag: [{ name: 'old', document: {} }],
  },
};
const NEW: NamespaceDefinition = {
  ...OLD,
  displayName: 'New',
  visibility: 'private',
  associations: [
    { name: 'R', prefix: 'new_', propertiesTarget: 'image' },
    { name: 'S', prefix: null, propertiesTarget: null },
  ],
  entries: {
    object: [{ name: 'o', document: { description: 'new', required: ['x'], properties: {} } }],
    property: [
      { name: 'p', document: { title: 'new', type: 'string' } },
      { name: 'q', document: { title: 'q', type: 'integer' } },
    ],
    tag: [{ name: 'new', document: {} }],
  },
};

let clock = 1000;
const now = (): number => (clock += 1);

describe.each(DATABASE_KINDS)('on %s', (kind) => {
  let database: TestDatabase;
  let metadefs: MetadefRepo;
  const closing: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    database = await makeDatabase(kind, (work) => closing.push(work));
    const db = new Kysely<CatalogTables>({ dialect: database.dialect() });
    closing.unshift(() => db.destroy());
    await migrateDatabase(db, CATALOG_MIGRATIONS, { now });
    ({ metadefs } = await openCatalog(db, now));
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  /** The namespace with its content in short. */
  async function shortly(): Promise<string> {
    const namespace = await metadefs.namespace('N');
    const associations = (await metadefs.associations([namespace])).get(namespace.id) ?? [];
    const byName = { sort: { field: 'name', direction: 'asc' } } as const;
    const objects = await metadefs.entries({ namespace, kind: 'object' }, byName);
    const properties = await metadefs.entries({ namespace, kind: 'property' }, byName);
    const tags = await metadefs.entries({ namespace, kind: 'tag' }, byName);
    return [
      `${namespace.displayName} ${namespace.visibility}`,
      associations.map(({ name, prefix }) => `${name}:${prefix}`).join(),
      objects.map(({ name, document }) => `${name}:${document.description}`).join(),
      properties.map(({ name, document }) => `${name}:${String(document['title'])}`).join(),
      tags.map(({ name }) => name).join(),
    ].join(' | ');
  }

  test.each([
    ['skip', 'skipped', 'Old public | R:old_ | o:old | p:old | old'],
    ['merge', 'merged', 'Old public | R:old_,S:null | o:old | p:old,q:q | new,old'],
    ['prefer-new', 'merged', 'New private | R:new_,S:null | o:new | p:new,q:q | new,old'],
    ['overwrite', 'overwritten', 'New private | R:new_,S:null | o:new | p:new,q:q | new'],
  ] as const)('what is loaded over what is there: %s', async (mode, outcome, after) => {
    expect(await metadefs.load(OLD, mode)).toBe('added');
    expect(await metadefs.load(NEW, mode)).toBe(outcome);
    expect(await shortly()).toBe(after);
  });

  test('a definition that breaks off leaves nothing', async () => {
    const twice = { ...OLD, entries: { ...OLD.entries, tag: [...OLD.entries.tag, ...OLD.entries.tag] } };
    for (const mode of LOAD_MODES) await expect(metadefs.load(twice, mode)).rejects.toMatchObject({ code: 'conflict' });
    await expect(metadefs.namespace('N')).rejects.toMatchObject({ code: 'not_found' });
    expect(await metadefs.resourceTypes()).toEqual([]);
  });

  test('names are taken once, also by renaming', async () => {
    const first = await metadefs.insertNamespace(OLD);
    const second = await metadefs.insertNamespace({ ...OLD, namespace: 'M' });
    await expect(metadefs.insertNamespace(OLD)).rejects.toMatchObject({ code: 'conflict' });
    await expect(metadefs.changeNamespace(second, OLD)).rejects.toMatchObject({ code: 'conflict' });
    const key = { namespace: first, kind: 'tag' } as const;
    await metadefs.insertEntries(key, [{ name: 'second', document: {} }]);
    const renaming = metadefs.changeEntry(key, 'second', { name: 'old', document: {} });
    await expect(renaming).rejects.toMatchObject({ code: 'conflict' });
    expect(await metadefs.changeEntry(key, 'second', { name: 'third', document: {} })).toMatchObject({ name: 'third' });
    await metadefs.removeNamespace(first);
    await expect(metadefs.changeNamespace(first, { ...OLD, namespace: 'X' })).rejects.toMatchObject({
      code: 'not_found',
    });
    expect((await metadefs.namespaces({})).map(({ namespace }) => namespace)).toEqual(['M']);
  });

  test('thousands of tags come and go at once', async () => {
    const namespace = await metadefs.insertNamespace(OLD);
    const key = { namespace, kind: 'tag' } as const;
    const tags = Array.from({ length: 2500 }, (_, index) => ({ name: `tag-${index}`, document: {} }));
    await metadefs.replaceEntries(key, tags);
    expect(await metadefs.entries(key)).toHaveLength(2500);
    const [last] = await metadefs.entries(key, { sort: { field: 'name', direction: 'asc' }, limit: 1 });
    expect(last?.name).toBe('tag-0');
    await metadefs.removeEntries(key);
    expect(await metadefs.entries(key)).toEqual([]);
  });

  test.each(['namespace', 'displayName', 'visibility', 'protected', 'owner', 'createdAt', 'updatedAt'] as const)(
    'pages by %s hold every namespace once',
    async (field) => {
      for (const [at, owner] of ['a', null, 'b', null, 'a'].entries()) {
        const odd = at % 2 === 1;
        const more = {
          displayName: odd ? 'same' : null,
          visibility: odd ? 'public' : 'private',
          protected: odd,
        } as const;
        await metadefs.insertNamespace({ ...OLD, ...more, namespace: `N${at}`, owner });
      }
      for (const direction of ['asc', 'desc'] as const) {
        const all = await metadefs.namespaces({ sort: { field, direction } });
        const seen: string[] = [];
        let [after] = await metadefs.namespaces({ sort: { field, direction }, limit: 1 });
        while (after !== undefined) {
          seen.push(after.namespace);
          [after] = await metadefs.namespaces({ sort: { field, direction }, limit: 1, after });
        }
        expect(seen).toEqual(all.map(({ namespace }) => namespace));
        expect(seen).toHaveLength(5);
      }
    },
  );
});
