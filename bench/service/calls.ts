/** Calls of the Images API, as cheap for the caller as can be: it shares the machine with what it measures. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../../fixtures/command.ts';
import { requirePackage } from '../../fixtures/peers.ts';

/**
 * What Keystone's middleware would tell Glance of the caller: without a project Glance 25 cannot import. Ours, which
 * asks nobody here, takes no notice.
 */
const CALLER = {
  'x-identity-status': 'Confirmed',
  'x-user-id': 'bench',
  'x-project-id': 'bench',
  'x-roles': 'admin,member,reader',
};
const agent = new Agent({ keepAlive: true });
const POLL_MS = 50;
const IMPORT_LIMIT_MS = 10 * 60_000;

interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string;
}

async function begin(url: string, { method = 'GET', headers = {}, body }: Call): Promise<IncomingMessage> {
  const call = request(url, { method, headers: { ...CALLER, ...headers }, agent });
  const answered = once(call, 'response');
  call.end(body);
  const [answer] = await answered;
  return answer as IncomingMessage;
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function demand(url: string, call: Call, wanted: number): Promise<string> {
  const answer = await begin(url, call);
  const text = await textOf(answer);
  if (answer.statusCode !== wanted) {
    throw new Error(`${call.method ?? 'GET'} ${url}: ${answer.statusCode} ${text.slice(0, 500)}`);
  }
  return text;
}

/** The status of a GET; 0 when nobody answers. */
export async function statusOf(url: string): Promise<number> {
  try {
    const answer = await begin(url, {});
    answer.resume();
    await once(answer, 'end');
    return answer.statusCode ?? 0;
  } catch {
    return 0;
  }
}

/** The id of one of the images. */
export async function anyImage(service: string): Promise<string> {
  const list: { images: { id: string }[] } = JSON.parse(await demand(`${service}/v2/images?limit=1`, {}, 200));
  return list.images[0]?.id ?? '';
}

/** Reads an answer of 200 to its end; gives its length. */
export async function get(url: string): Promise<number> {
  return (await demand(url, {}, 200)).length;
}

/** An image as the service shows it. */
export async function showImage(service: string, id: string): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await demand(`${service}/v2/images/${id}`, {}, 200));
}

/** Registers an image; gives its id. */
export async function createImage(service: string, name: string, diskFormat: string): Promise<string> {
  const body = JSON.stringify({ name, disk_format: diskFormat, container_format: 'bare', tags: ['bench'] });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const document: { id: string } = JSON.parse(
    await demand(`${service}/v2/images`, { method: 'POST', headers, body }, 201),
  );
  return document.id;
}

/** Sends a file to `file` or `stage` of an image. */
export async function sendFile(
  service: string,
  id: string,
  part: { to: 'file' | 'stage'; file: string },
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream', expect: '' };
  await curl(`${service}/v2/images/${id}/${part.to}`, { headers, more: ['--upload-file', part.file] }, 204);
}

/** Downloads the data of an image and throws it away. */
export async function download(service: string, id: string): Promise<void> {
  await curl(`${service}/v2/images/${id}/file`, {}, 200);
}

interface CurlCall {
  readonly headers?: Readonly<Record<string, string>>;
  readonly more?: readonly string[];
}

/** What is long is sent and received by curl, which takes a fraction of the processor time that Node would. */
async function curl(url: string, { headers = {}, more = [] }: CurlCall, wanted: number): Promise<void> {
  const named = Object.entries({ ...CALLER, ...headers }).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  const quiet = ['--silent', '--show-error', '--output', '/dev/null', '--write-out', '%{http_code}'];
  const status = await runCommand(await requirePackage('curl', 'curl'), [...quiet, ...named, ...more, url]);
  if (status !== String(wanted)) throw new Error(`${url}: ${status}`);
}

/** The SHA-512 of the data of an image, in hex, as it is downloaded. */
export async function downloadedSha512(service: string, id: string): Promise<string> {
  const answer = await begin(`${service}/v2/images/${id}/file`, {});
  const hash = createHash('sha512');
  await pipeline(answer, hash);
  return hash.digest('hex');
}

/** Imports what was staged and waits until the image is active. Throws when it fails. */
export async function importStaged(service: string, id: string): Promise<void> {
  const body = JSON.stringify({ method: { name: 'glance-direct' } });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  await demand(`${service}/v2/images/${id}/import`, { method: 'POST', headers, body }, 202);
  const began = performance.now();
  while (true) {
    const { status, os_glance_failed_import: failed } = await showImage(service, id);
    if (status === 'active') return;
    if (failed !== undefined && failed !== '') throw new Error(`${service}: the import failed`);
    // An image whose import failed can stay "importing" in Glance; its task knows.
    if (performance.now() - began > IMPORT_LIMIT_MS) {
      throw new Error(await demand(`${service}/v2/images/${id}/tasks`, {}, 200));
    }
    await delay(POLL_MS);
  }
}

/** Deletes an image. */
export async function deleteImage(service: string, id: string): Promise<void> {
  await demand(`${service}/v2/images/${id}`, { method: 'DELETE' }, 204);
}
