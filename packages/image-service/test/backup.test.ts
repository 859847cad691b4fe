/** Back up and restore as docs/admin-guide.md says: by `rsync`, `sqlite3`, `pg_dump` and `pg_restore`, while the service works. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runCommand } from '../../../fixtures/command.ts';
import { requirePackage } from '../../../fixtures/peers.ts';
import type { RawParts } from '../src/main.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import type { DatabaseKind } from './databases.ts';
import { DATABASE_KINDS, testPostgres } from './databases.ts';
import { diskBytes } from './world.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
const BYTES = diskBytes();

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** An installation, and where its database is for the programs that copy it. */
interface Installation {
  readonly world: ApiWorld;
  readonly database: string;
}

async function install(kind: DatabaseKind, intercept: (parts: RawParts) => RawParts): Promise<Installation> {
  const url = kind === 'postgres' ? await (await testPostgres()).database() : undefined;
  const overrides: Readonly<Record<string, string>> = url === undefined ? {} : { 'database.connection': url };
  const world = await makeApiWorld({ overrides, intercept });
  return { world, database: url ?? world.path('state/state.db') };
}

async function upload(world: ApiWorld, place: 'file' | 'stage'): Promise<string> {
  const body = { name: place, disk_format: 'raw', container_format: 'bare', tags: ['kept'] };
  const id = String((await world.call('POST /v2/images', { body })).json['id']);
  await world.call(`PUT /v2/images/${id}/${place}`, { headers: OCTETS, body: BYTES });
  return id;
}

/** What the guide types to copy a database. */
async function backUp(kind: DatabaseKind, database: string, copy: string): Promise<void> {
  if (kind === 'sqlite') await runCommand(await requirePackage('sqlite3', 'sqlite3'), [database, `.backup ${copy}`]);
  else await runCommand('pg_dump', ['--format=custom', `--file=${copy}`, database]);
}

/** What the guide types to bring it into an empty one. */
async function restore(kind: DatabaseKind, copy: string, database: string): Promise<void> {
  if (kind === 'postgres') await runCommand('pg_restore', ['--no-owner', `--dbname=${database}`, copy]);
  else {
    await runCommand('rm', ['-f', `${database}-wal`, `${database}-shm`]);
    await runCommand('install', ['-m', '0600', copy, database]);
  }
}

async function copyStores(from: string, to: string): Promise<void> {
  const rsync = await requirePackage('rsync', 'rsync');
  for (const store of ['store-a', 'store-b']) await runCommand(rsync, ['-aS', `${from}/${store}/`, `${to}/${store}/`]);
}

test.each(DATABASE_KINDS)('a backup taken while the service works, restored elsewhere: %s', async (kind) => {
  const begun = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const { world, database } = await install(kind, (parts) => ({
    ...parts,
    tools: {
      ...parts.tools,
      // Uploads are inspected as they come, in another way.
      async inspect(...parameters) {
        begun.resolve();
        await held.promise;
        return parts.tools.inspect(...parameters);
      },
    },
  }));
  const lost = { whole: false };
  const lose = async (): Promise<void> => {
    held.resolve();
    if (!lost.whole) await world.remove();
    lost.whole = true;
  };
  closing.push(lose);
  const kept = await upload(world, 'file');
  const deleted = await upload(world, 'file');
  const importing = await upload(world, 'stage');
  await world.call(`POST /v2/images/${importing}/import`, { body: { method: { name: 'glance-direct' } } });
  await begun.promise;

  const backup = await mkdtemp(join(tmpdir(), 'diskmorph-backup-'));
  closing.push(() => rm(backup, { recursive: true }));
  await copyStores(world.dir, backup);
  await backUp(kind, database, join(backup, 'database'));
  const late = await upload(world, 'file');
  await world.call(`DELETE /v2/images/${deleted}`);
  await copyStores(world.dir, backup);
  await lose();

  // A fresh installation stops before it has the copy, as the guide says.
  const fresh = await install(kind, (parts) => parts);
  closing.push(() => fresh.world.remove());
  await fresh.world.restart(async () => {
    if (kind === 'postgres') {
      const server = await testPostgres();
      const name = new URL(fresh.database).pathname.slice(1);
      await server.command(`drop database ${name}`);
      await server.command(`create database ${name}`);
    }
    await restore(kind, join(backup, 'database'), fresh.database);
    await copyStores(backup, fresh.world.dir);
  });

  for (const id of [kept, deleted]) {
    expect((await fresh.world.call(`GET /v2/images/${id}`)).json).toMatchObject({ status: 'active', tags: ['kept'] });
    const data = await fetch(`${fresh.world.url}/v2/images/${id}/file`);
    expect(Buffer.from(await data.arrayBuffer()).equals(BYTES)).toBe(true);
  }
  expect((await fresh.world.call(`GET /v2/images/${late}`)).status).toBe(404);
  const after = async (): Promise<unknown> => (await fresh.world.call(`GET /v2/images/${importing}`)).json;
  await expect.poll(after, { timeout: 20_000 }).toMatchObject({
    status: 'queued',
    os_glance_import_error: expect.stringMatching(/^\w+: /),
  });
});
