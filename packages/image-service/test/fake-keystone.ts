import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A token that the fake knows: what its document says beside the user. */
export interface FakeToken {
  readonly user?: string;
  readonly project?: string;
  readonly domain?: string;
  readonly system?: boolean;
  readonly roles?: readonly string[];
  readonly is_admin_project?: boolean;
  /** Given to who does not ask to leave it out. */
  readonly catalog?: readonly unknown[];
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What the fake answers instead of what it should, for the next calls of one kind. */
export interface Trouble {
  readonly on: 'log-in' | 'check';
  readonly status?: number;
  readonly body?: string;
  readonly hang?: true;
  times: number;
}

/** A Keystone of one process: knows the tokens that a test puts into it, and notes what it is asked. */
export interface FakeKeystone {
  readonly url: string;
  readonly tokens: Map<string, FakeToken>;
  readonly troubles: Trouble[];
  /** Bodies of log-ins. */
  readonly logIns: unknown[];
  /** Addresses and headers of checks. */
  readonly checks: { readonly url: string; readonly own: string | undefined; readonly subject: string | undefined }[];
  /** Own tokens that are taken; a log-in adds one. */
  readonly ownTokens: Set<string>;
  catalog: readonly unknown[];
  ownExpiresAt: number;
  now: () => number;
  close(): Promise<void>;
}

/** Starts a fake on a free port of the loopback. */
export async function startFakeKeystone(now: () => number): Promise<FakeKeystone> {
  const server = createServer((request, response) => void answer(fake, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fake: FakeKeystone = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokens: new Map(),
    troubles: [],
    logIns: [],
    checks: [],
    ownTokens: new Set(),
    catalog: [],
    ownExpiresAt: now() + 3_600_000,
    now,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return fake;
}

async function answer(fake: FakeKeystone, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) if (Buffer.isBuffer(part)) parts.push(part);
  const kind = request.method === 'POST' ? 'log-in' : 'check';
  if (kind === 'log-in') fake.logIns.push(JSON.parse(Buffer.concat(parts).toString()));
  else {
    const { 'x-auth-token': own, 'x-subject-token': subject } = request.headers;
    fake.checks.push({ url: request.url ?? '', own: headerText(own), subject: headerText(subject) });
  }
  const trouble = fake.troubles.find((candidate) => candidate.on === kind && candidate.times > 0);
  if (trouble !== undefined) {
    trouble.times--;
    if (trouble.hang !== true) response.writeHead(trouble.status ?? 200).end(trouble.body ?? '{}');
    return;
  }
  if (kind === 'log-in') logIn(fake, response);
  else check(fake, request, response);
}

function headerText(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}

function logIn(fake: FakeKeystone, response: ServerResponse): void {
  const token = `own-${fake.logIns.length}`;
  fake.ownTokens.add(token);
  const body = tokenDocument({ user: 'glance', project: 'service', expiresAt: fake.ownExpiresAt }, fake.catalog);
  response.writeHead(201, { 'x-subject-token': token, 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function check(fake: FakeKeystone, request: IncomingMessage, response: ServerResponse): void {
  const { own, subject } = fake.checks.at(-1) ?? {};
  const token = fake.tokens.get(subject ?? '');
  const url = new URL(request.url ?? '/', fake.url);
  const expired = token !== undefined && token.expiresAt <= fake.now() && url.searchParams.get('allow_expired') !== '1';
  if (!fake.ownTokens.has(own ?? '')) response.writeHead(401).end('{}');
  else if (token === undefined || expired || !url.pathname.endsWith('/v3/auth/tokens'))
    response.writeHead(404).end('{}');
  else {
    const catalog = url.searchParams.has('nocatalog') ? undefined : (token.catalog ?? []);
    response.writeHead(200).end(JSON.stringify(tokenDocument(token, catalog)));
  }
}

function tokenDocument(token: FakeToken, catalog?: readonly unknown[]): unknown {
  const domain = { id: 'default', name: 'Default' };
  const named = (name: string): unknown => ({ id: `${name}-id`, name, domain });
  return {
    token: {
      methods: ['password'],
      user: named(token.user ?? 'ann'),
      ...(token.project === undefined ? {} : { project: named(token.project) }),
      ...(token.domain === undefined ? {} : { domain: { id: `${token.domain}-id`, name: token.domain } }),
      ...(token.system === true ? { system: { all: true } } : {}),
      ...(token.roles === undefined ? {} : { roles: token.roles.map((name) => ({ id: `${name}-id`, name })) }),
      ...(token.is_admin_project === undefined ? {} : { is_admin_project: token.is_admin_project }),
      expires_at: new Date(token.expiresAt).toISOString(),
      ...(catalog === undefined ? {} : { catalog }),
    },
  };
}
