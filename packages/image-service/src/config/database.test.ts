import { expect, test } from 'vitest';
import type { Configuration } from './load.ts';
import { loadConfiguration } from './load.ts';

const FILE = `
[task]
work_dir = /work
[glance_store]
filesystem_store_datadir = /images
[diskmorph]
state_database = sqlite:/state/state.db
`;

function load(text: string): Configuration {
  return loadConfiguration({ files: [{ name: 'test.conf', text: `${FILE}${text}` }], environment: {} });
}

const POSTGRES = { kind: 'postgres', maxConnections: 10, waitMs: 30_000, statementTimeoutMs: 60_000 };

test.each([
  { connection: 'sqlite:/elsewhere/x.db', expected: { kind: 'sqlite', path: '/elsewhere/x.db' } },
  { connection: 'sqlite:////elsewhere/x.db', expected: { kind: 'sqlite', path: '/elsewhere/x.db' } },
  {
    connection: 'postgres://me:secret@db:5433/images',
    expected: { ...POSTGRES, url: 'postgres://me:secret@db:5433/images', shownAs: 'db:5433/images' },
  },
  {
    connection: 'postgresql+psycopg2://me:se%40cret@db/images?sslmode=require',
    expected: { ...POSTGRES, url: 'postgres://me:se%40cret@db/images?sslmode=require', shownAs: 'db/images' },
  },
])('[database] connection = $connection', ({ connection, expected }) => {
  expect(load(`[database]\nconnection = ${connection}\n`).database).toEqual(expected);
});

test.each([
  { connection: 'mysql+pymysql://me:secret@db/images' },
  { connection: 'postgres://me:secret@db' },
  { connection: 'postgres://me:secret@d b/images' },
  { connection: 'sqlite:secret/relative.db' },
])('$connection is refused by name, and never shown', ({ connection }) => {
  const refusal = (): unknown => load(`[database]\nconnection = ${connection}\n`);
  expect(refusal).toThrow(/\[database\] connection = .*\(not shown\): must be/);
  expect(refusal).not.toThrow(/secret/);
});

test('a process that leaves tasks to others needs a database that others reach', () => {
  expect(() => load('run_tasks = false\n')).toThrow(/\[diskmorph\] run_tasks = false: needs \[database\] connection/);
  expect(load('run_tasks = false\n[database]\nconnection = postgres://db/images\n').sharedWork.runTasks).toBe(false);
});

test('the name of a machine is one that the queue can bear', () => {
  expect(load('node_name = rack-1.example.org\n').sharedWork.nodeName).toBe('rack-1.example.org');
  expect(() => load('node_name = rack 1\n')).toThrow(/node_name = rack 1: must be 1 to 64 letters/);
});
