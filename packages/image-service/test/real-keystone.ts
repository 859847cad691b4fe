import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { requirePackage } from '../../../fixtures/peers.ts';

const run = promisify(execFile);

/** A Keystone from Debian, with its database, keys and data in a directory that is removed afterwards. */
export interface RealKeystone {
  /** With its version. */
  readonly url: string;
  readonly adminPassword: string;
  /** Calls the Identity API as the administrator (or with another token); the answer's status, body and token. */
  call(method: string, path: string, body?: unknown, token?: string): Promise<IdentityReply>;
  /** A token of a user for a project, by their names. */
  logIn(user: string, password: string, project?: string): Promise<string>;
  stop(): Promise<void>;
}

/** What the Identity API answered. */
export interface IdentityReply {
  readonly status: number;
  readonly body: Readonly<Record<string, { readonly id: string } & Readonly<Record<string, unknown>>>>;
  readonly token: string;
}

const ADMIN_PASSWORD = 'administrator of a test';
const START_LIMIT_MS = 60_000;
const POLL_MS = 100;

/** Installs Keystone where that is allowed, makes a fresh one, and starts it on a free port of the loopback. */
export async function startRealKeystone(): Promise<RealKeystone> {
  const program = await requirePackage('keystone-wsgi-public', 'python3-keystone');
  const manage = await requirePackage('keystone-manage', 'python3-keystone');
  const directory = await mkdtemp(join(tmpdir(), 'diskmorph-keystone-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/v3`;
  const config = await writeConfiguration(directory);
  await setUp({ manage, config, url });
  allowReadersBesideWriter(join(directory, 'keystone.db'));
  const child = spawn(program, ['--host', '127.0.0.1', '--port', String(port)], {
    env: { ...process.env, OS_KEYSTONE_CONFIG_FILES: config },
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true });
  };
  try {
    await untilItAnswers(url);
    const admin = (await logInAt(url, 'admin', ADMIN_PASSWORD, 'admin')).token;
    return {
      url,
      adminPassword: ADMIN_PASSWORD,
      call: (method, path, body, token = admin) => callAt(url, { method, path, body, token }),
      logIn: async (user, password, project) => (await logInAt(url, user, password, project)).token,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function writeConfiguration(directory: string): Promise<string> {
  const config = join(directory, 'keystone.conf');
  for (const name of ['fernet', 'credential']) await mkdir(join(directory, name), { mode: 0o700 });
  await writeFile(
    config,
    `[database]
connection = sqlite:///${directory}/keystone.db
[fernet_tokens]
key_repository = ${directory}/fernet
[credential]
key_repository = ${directory}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = false
`,
  );
  return config;
}

interface SetUp {
  readonly manage: string;
  readonly config: string;
  readonly url: string;
}

async function setUp({ manage, config, url }: SetUp): Promise<void> {
  const owner = ['--keystone-user', String(process.getuid?.()), '--keystone-group', String(process.getgid?.())];
  const steps = [
    ['db_sync'],
    ['fernet_setup', ...owner],
    ['credential_setup', ...owner],
    [
      'bootstrap',
      '--bootstrap-password',
      ADMIN_PASSWORD,
      '--bootstrap-region-id',
      'RegionOne',
      ...['public', 'internal', 'admin'].flatMap((name) => [`--bootstrap-${name}-url`, url]),
    ],
  ];
  for (const step of steps) await run(manage, ['--config-file', config, ...step], { maxBuffer: 2 ** 24 });
}

/** Keystone leaves readers open, which in SQLite's usual mode keep its own writers out ("database is locked"). */
function allowReadersBesideWriter(path: string): void {
  const database = new DatabaseSync(path);
  database.exec('pragma journal_mode = wal');
  database.close();
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

async function untilItAnswers(url: string): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    const answers = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (answers) return;
    if (Date.now() > deadline) throw new Error(`Keystone does not answer within ${START_LIMIT_MS} ms`);
    await delay(POLL_MS);
  }
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly token?: string;
}

async function callAt(url: string, { method, path, body, token }: Call): Promise<IdentityReply> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { 'x-auth-token': token }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed = text.startsWith('{') ? (JSON.parse(text) as IdentityReply['body']) : {};
  return { status: response.status, body: parsed, token: response.headers.get('x-subject-token') ?? '' };
}

async function logInAt(url: string, name: string, password: string, project?: string): Promise<IdentityReply> {
  const domain = { id: 'default' };
  const scope = project === undefined ? {} : { scope: { project: { name: project, domain } } };
  const identity = { methods: ['password'], password: { user: { name, domain, password } } };
  const reply = await callAt(url, { method: 'POST', path: '/auth/tokens', body: { auth: { identity, ...scope } } });
  if (reply.status !== 201) throw new Error(`Keystone answers the log-in of ${name} with ${reply.status}`);
  return reply;
}
