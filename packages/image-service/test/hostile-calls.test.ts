/** Whatever is sent to whichever operation, the answer is one that the service describes, and never that it broke. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiWorld, Call } from './api-world.ts';
import { makeApiWorld, withCache } from './api-world.ts';
import type { DescribedApi } from './described-api.ts';
import { describedApi } from './described-api.ts';

const RUNS = 1500;
const OCTETS = 'application/octet-stream';
const JSON_TYPE = 'application/json';
const PATCH_TYPES = [
  'application/openstack-images-v2.1-json-patch',
  'application/openstack-images-v2.0-json-patch',
] as const;

let world: ApiWorld;
let api: DescribedApi;

beforeAll(async () => {
  world = await makeApiWorld({ prepare: withCache });
  api = await describedApi(world);
});
afterAll(() => world.remove());

/** Names of what is there before each call, so that calls get further than "not found". */
const IMAGES = { queued: uuid(1), staged: uuid(2), active: uuid(3), shared: uuid(4) } as const;
const NAMESPACE = 'N';

function uuid(last: number): string {
  return `00000000-0000-4000-8000-00000000000${last}`;
}

/** Puts back whatever calls before have removed; refusals because it is still there are as good. */
async function furnish(): Promise<void> {
  for (const id of Object.values(IMAGES)) {
    const body = { id, name: id, disk_format: 'raw', container_format: 'bare', tags: ['a'] };
    // What was deleted keeps its id.
    await world.call('POST /v2/images', { body });
  }
  const octets = { headers: { 'content-type': OCTETS }, body: new Uint8Array(1024) };
  await world.call(`PUT /v2/images/${IMAGES.staged}/stage`, octets);
  await world.call(`PUT /v2/images/${IMAGES.active}/file`, octets);
  await world.call(`POST /v2/images/${IMAGES.shared}/members`, { body: { member: 'p' } });
  const properties = { p: { title: 'P', type: 'string' } };
  const body = { namespace: NAMESPACE, properties, objects: [{ name: 'o', properties }], tags: [{ name: 't' }] };
  await world.call('POST /v2/metadefs/namespaces', { body });
}

const word = fc.oneof(
  fc.constantFrom('raw', 'qcow2', 'bare', 'ova', 'public', 'shared', 'accepted', 'string', 'import', 'copy-image'),
  fc.constantFrom('web-download', 'glance-direct', 'http://127.0.0.1:1/x', 'file:///etc/passwd', 'a', 'b', 'p', 'o'),
  fc.constantFrom('', '\0', 'ÿ', '😀', '\u202e', '__proto__', 'constructor', "'--", '%s', '2026-11-23T00:00:00Z'),
  fc.constantFrom('x'.repeat(256), 'x'.repeat(70_000), ...Object.values(IMAGES)),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const scalar = fc.oneof(
  word,
  fc.constantFrom(null, true, false, 0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308),
  fc.integer({ min: -2, max: 100 }),
);
const key = fc.oneof(
  fc.constantFrom(
    'name',
    'id',
    'visibility',
    'tags',
    'disk_format',
    'container_format',
    'min_disk',
    'min_ram',
    'owner',
  ),
  fc.constantFrom('protected', 'os_hidden', 'size', 'status', 'checksum', 'locations', 'url', 'metadata', 'self'),
  fc.constantFrom('method', 'uri', 'stores', 'store', 'all_stores', 'all_stores_must_succeed', 'format', 'options'),
  fc.constantFrom(
    'type',
    'input',
    'import_from',
    'import_from_format',
    'image_properties',
    'member',
    'validation_data',
  ),
  fc.constantFrom('namespace', 'objects', 'properties', 'display_name', 'prefix', 'required', 'title', 'items', 'enum'),
  word,
);
const tree = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
})).value;

/** What calls send when they mean it, some of it replaced by something else. */
const MEANT: readonly object[] = [
  { name: 'a', disk_format: 'raw', container_format: 'bare', min_disk: 1, tags: ['a'], visibility: 'public' },
  { method: { name: 'glance-direct' }, all_stores: true },
  { method: { name: 'web-download', uri: 'http://127.0.0.1:1/x' }, stores: ['a'] },
  { method: { name: 'copy-image' }, stores: ['b'], all_stores_must_succeed: false },
  { type: 'import', input: { import_from: 'http://127.0.0.1:1/x', import_from_format: 'raw', image_properties: {} } },
  { format: 'qcow2', options: { compression_type: 'zlib' } },
  { member: 'p' },
  { status: 'accepted' },
  { url: 'http://127.0.0.1:1/x', validation_data: { os_hash_algo: 'sha512', os_hash_value: 'a' } },
  { namespace: NAMESPACE, display_name: 'n', properties: { p: { title: 'P', type: 'string' } } },
  { name: 'o', description: 'x', required: ['p'], properties: { p: { title: 'P', type: 'integer', minimum: 1 } } },
  { name: 'p', title: 'P', type: 'array', items: { type: 'string' }, enum: ['a'], operators: ['<in>'] },
  { tags: [{ name: 't' }] },
];
const nearlyMeant = fc
  .tuple(fc.constantFrom(...MEANT), fc.dictionary(key, tree, { maxKeys: 2 }), fc.nat())
  .map(([meant, more, at]) => {
    const keys = Object.keys(meant);
    const spoiled = Object.values(more).map((value, index) => [keys[(at + index) % keys.length], value] as const);
    const added = at % 3 === 0 ? Object.entries(more) : spoiled;
    return Object.fromEntries([...Object.entries(meant), ...added]) as object;
  });
const pointer = fc.oneof(
  fc.constantFrom('/name', '/tags', '/tags/0', '/tags/-', '/locations', '/locations/0', '/min_disk', '/owner', '/x'),
  fc.constantFrom('', '/', '//', '/~2', '/__proto__', '/__proto__/x', '/protected', '/id', '/visibility', 'name'),
  word.map((name) => `/${name}`),
);
const patch = fc.array(
  fc.record(
    { op: fc.constantFrom('add', 'replace', 'remove', 'move', 'test', 1), path: pointer, value: tree, from: pointer },
    { requiredKeys: ['op', 'path'] },
  ),
  { maxLength: 3 },
);
const brokenText = fc.constantFrom(
  '',
  '{',
  '[',
  'null',
  '5',
  '{"a":1}{',
  '\0',
  '['.repeat(30_000),
  '{"a":'.repeat(10_000),
);

interface Body {
  readonly type: string;
  readonly text: string;
}

function typed(type: string, body: fc.Arbitrary<unknown>): fc.Arbitrary<Body> {
  return body.map((value) => ({ type, text: JSON.stringify(value) ?? 'null' }));
}

const anyBody: fc.Arbitrary<Body> = fc.oneof(
  { weight: 6, arbitrary: typed(JSON_TYPE, nearlyMeant) },
  { weight: 2, arbitrary: typed(JSON_TYPE, tree) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom(JSON_TYPE, ...PATCH_TYPES), text: brokenText }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom(OCTETS, 'text/plain', 'x', `${JSON_TYPE}; charset=utf-16`),
      text: word,
    }),
  },
);
const patchBody: fc.Arbitrary<Body> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...PATCH_TYPES).chain((type) => typed(type, patch)) },
  { weight: 1, arbitrary: anyBody },
);
const dataBody: fc.Arbitrary<Body> = fc.oneof(fc.record({ type: fc.constant(OCTETS), text: word }), anyBody);

const query = fc.array(
  fc.tuple(
    fc.oneof(
      fc.constantFrom('limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'name', 'status', 'size_min', 'created_at'),
      fc.constantFrom('visibility', 'member_status', 'tag', 'os_hidden', 'protected', 'format', 'prefer', 'property'),
      fc.constantFrom('compression_type', 'subformat', 'cluster_size', 'data_file', 'resource_types', 'id', 'owner'),
      key,
    ),
    fc.oneof(
      fc.constantFrom('1', '-1', '99999999999999999999', 'true', 'name:asc,size:desc', 'asc', 'created_at', 'in:a,b'),
      fc.constantFrom('in:"a', 'gt:5', 'lt:2020-01-01T00:00:00Z', 'neq:x', 'gt:', ':', 'raw', 'vmdk', 'vhdx', 'vpc'),
      word.map((text) => text.slice(0, 300)),
    ),
  ),
  { maxLength: 3 },
);
const header = fc.option(
  fc.tuple(
    fc.constantFrom('range', 'if-range', 'if-none-match', 'x-image-meta-store', 'x-openstack-image-size', 'accept'),
    fc.constantFrom(
      'bytes=0-',
      'bytes=-5',
      'bytes=5-1',
      'bytes=0-1,5-6',
      'bytes=99999999999-',
      '-1',
      '1e9',
      'b',
      '*/*',
    ),
  ),
  { nil: undefined, freq: 5 },
);
const segment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Object.values(IMAGES), NAMESPACE, 'a', 'b', 'p', 'o', 't') },
  { weight: 1, arbitrary: word.filter((text) => !['', '.', '..'].includes(text)).map((text) => text.slice(0, 300)) },
);

/** A call as text and content. Streams of events end with their task, and are read elsewhere. */
function callsOf(operations: readonly string[]): fc.Arbitrary<{ readonly line: string; readonly call: Call }> {
  return fc.constantFrom(...operations.filter((operation) => !operation.endsWith('/events'))).chain((operation) => {
    const [method = ''] = operation.split(' ');
    const body = operation.startsWith('PATCH') ? patchBody : /\/(?:file|stage)$/.test(operation) ? dataBody : anyBody;
    const sends = !['GET', 'HEAD'].includes(method);
    const names = operation.match(/\{\w+\}/g) ?? [];
    return fc
      .record({
        segments: fc.array(segment, { minLength: names.length, maxLength: names.length }),
        query,
        header,
        body: sends ? fc.option(body, { nil: undefined, freq: 8 }) : fc.constant(undefined),
      })
      .map((parts) => ({ line: lineOf(operation, parts), call: contentOf(parts) }));
  });
}

interface Parts {
  readonly segments: readonly string[];
  readonly query: readonly (readonly [string, string])[];
  readonly header: readonly [string, string] | undefined;
  readonly body: Body | undefined;
}

function lineOf(operation: string, { segments, query: pairs }: Parts): string {
  const rest = [...segments];
  const path = operation.replaceAll(/\{\w+\}/g, () => encodeURIComponent((rest.shift() ?? '').toWellFormed()));
  const asked = new URLSearchParams(pairs.map(([name, value]) => [name, value]));
  return pairs.length === 0 ? path : `${path}?${asked}`;
}

function contentOf({ header: pair, body }: Parts): Call {
  const headers = pair === undefined ? {} : { [pair[0]]: pair[1] };
  if (body === undefined) return { headers: { accept: JSON_TYPE, ...headers } };
  return { headers: { accept: JSON_TYPE, 'content-type': body.type, ...headers }, body: body.text };
}

test('every answer to every call is described, and none is 500', { timeout: 120_000 }, async () => {
  let calls = 0;
  await fc.assert(
    fc.asyncProperty(callsOf(api.operations), async ({ line, call }) => {
      if (calls++ % 25 === 0) await furnish();
      const answer = await world.call(line, call);
      expect(answer.status, `${line} ${JSON.stringify(call).slice(0, 500)}\n${answer.text}`).toBeLessThan(500);
      // Administrators are told where the bytes of images lie; nobody is told it by an error.
      if (answer.status >= 400) expect(answer.text).not.toContain(world.dir);
      if (call.headers?.['accept'] === JSON_TYPE) expect(api.faultOf(line, answer)).toBeUndefined();
    }),
    { numRuns: RUNS },
  );
});
