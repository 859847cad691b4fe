import { mkdir } from 'node:fs/promises';
import type { Authenticator, Caller } from '../src/auth/caller.ts';
import { LOCAL_ADMINISTRATOR } from '../src/auth/caller.ts';
import type { ImageServer, ServeOptions } from '../src/server.ts';
import { serveImages } from '../src/server.ts';
import type { World } from './world.ts';
import { makeWorld, memoryDirectory, readingHere } from './world.ts';

/** An answer, read whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; fails the test when it is none. */
  readonly json: Record<string, unknown>;
}

/** What a call sends. */
export interface Call {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON unless it is bytes or a stream. */
  readonly body?: unknown;
  /** `project:role`: who calls, where the world's authenticator asks. */
  readonly as?: string;
}

/** A service of its own that is served on a port of its own. */
export interface ApiWorld extends World {
  readonly url: string;
  /** `call('GET /v2/images')`. */
  call(line: string, call?: Call): Promise<Answer>;
  /** Stops the server and starts another over the same state, after what is to happen between. */
  restart(between?: () => Promise<void>): Promise<void>;
}

/** Believes the header `x-test-caller`: `project:role`. */
export const HEADER_AUTHENTICATION: Authenticator = {
  authenticate: async (headers) => callerOf(headers.get('x-test-caller') ?? ':'),
  close: async () => {},
};

function callerOf(text: string): Caller {
  const [project = '', role = ''] = text.split(':');
  const inherited = { admin: ['admin', 'member', 'reader'], member: ['member', 'reader'] }[role] ?? [role];
  return {
    ...LOCAL_ADMINISTRATOR,
    userId: `user-of-${project}`,
    projectId: project === '' ? null : project,
    roles: inherited,
    isAdmin: role === 'admin',
  };
}

/** How a world is served: as for `serveImages`, and what is made in it before. */
export interface ApiWorldOptions extends Partial<ServeOptions> {
  /** Where its directory is made; in memory when absent. */
  readonly base?: string;
  /** Gives further overrides of the configuration. */
  readonly prepare?: (world: World) => Promise<Readonly<Record<string, string>>>;
}

/** Gives a world an image cache, in the directory `cache`. */
export async function withCache({ path }: World): Promise<Readonly<Record<string, string>>> {
  await mkdir(path('cache'));
  return { 'DEFAULT.image_cache_dir': path('cache') };
}

/** Serves a world. */
export async function makeApiWorld({ base, prepare, ...given }: ApiWorldOptions = {}): Promise<ApiWorld> {
  const world = await makeWorld(base ?? (await memoryDirectory()));
  const options = { ...given, overrides: { ...given.overrides, ...(await prepare?.(world)) } };
  const serve = (): Promise<ImageServer> =>
    serveImages(readingHere({ configFiles: [world.configFile], environment: {}, port: 0, version: '0', ...options }));
  let server = await serve();
  return {
    ...world,
    get url() {
      return server.url;
    },
    async call(line, call = {}) {
      const [method = 'GET'] = line.split(' ');
      const path = line.slice(method.length + 1);
      return readAnswer(await fetch(`${server.url}${path}`, { method, ...sent(call) }));
    },
    async restart(between) {
      await server.close();
      await between?.();
      server = await serve();
    },
    async remove() {
      await server.close();
      await world.remove();
    },
  };
}

function sent({ headers, body, as }: Call): RequestInit {
  const raw = body instanceof Uint8Array || body instanceof ReadableStream || typeof body === 'string';
  const type = body === undefined || raw ? {} : { 'content-type': 'application/json' };
  return {
    headers: { ...type, ...(as === undefined ? {} : { 'x-test-caller': as }), ...headers },
    ...(body === undefined ? {} : { body: (raw ? body : JSON.stringify(body)) as BodyInit }),
    ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
  } as RequestInit;
}

async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    get json() {
      return JSON.parse(text) as Record<string, unknown>;
    },
  };
}
