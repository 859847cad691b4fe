/**
 * How much memory the service takes while it takes and gives a large image: `npm run bench:memory -- [GiB]`, 20 GiB
 * when it is not said. Most of it is zeros, so that it needs little disk. Fails when the process that serves was above
 * 300 MiB at any time.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const LIMIT = 300 * MIB;
/** One piece of so many holds data. */
const DATA_SPACING = 64;
const PROGRAM = join(import.meta.dirname, '../packages/cli/bin/diskmorph.js');

const sizeBytes = Number(process.argv[2] ?? 20) * GIB;
const state = await mkdtemp(join(tmpdir(), 'diskmorph-large-'));
const server = spawn(process.execPath, ['--conditions=source', PROGRAM, 'serve', '--port', '0', '--state-dir', state], {
  stdio: ['ignore', 'pipe', 'pipe'],
});
try {
  const url = await servedUrl();
  const atStart = await peakBytes();
  const image = await post(`${url}/v2/images`, { disk_format: 'raw', container_format: 'bare' });
  const uploaded = await timed(() => upload(`${url}/v2/images/${image}/file`));
  const afterUpload = await peakBytes();
  const downloaded = await timed(() => download(`${url}/v2/images/${image}/file`));
  const peak = await peakBytes();
  const figures = {
    size_gib: sizeBytes / GIB,
    upload_mib_per_second: Math.round(sizeBytes / MIB / uploaded),
    download_mib_per_second: Math.round(sizeBytes / MIB / downloaded),
    peak_mib: { start: mib(atStart), upload: mib(afterUpload), download: mib(peak) },
  };
  console.log(JSON.stringify(figures, undefined, 2));
  if (peak > LIMIT) throw new Error(`the service took ${mib(peak)} MiB, more than ${mib(LIMIT)}`);
} finally {
  server.kill('SIGKILL');
  await rm(state, { recursive: true, force: true });
}

async function servedUrl(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  for (const stream of [server.stdout, server.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      const url = /serving on (http:\/\/[\d.]+:\d+)/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
  }
  server.once('close', () => reject(new Error('the service ended before it served')));
  return promise;
}

/** The most memory that the process that serves has had at once. */
async function peakBytes(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

async function post(url: string, body: unknown): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return ((await answer.json()) as { readonly id: string }).id;
}

async function upload(url: string): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream', 'content-length': sizeBytes };
  const call = request(url, { method: 'PUT', headers });
  const answered = once(call, 'response') as Promise<[IncomingMessage]>;
  const zeros = Buffer.alloc(MIB);
  const data = randomBytes(MIB);
  for (let piece = 0; piece * MIB < sizeBytes; piece++) {
    if (!call.write(piece % DATA_SPACING === 0 ? data : zeros)) await once(call, 'drain');
  }
  call.end();
  const [answer] = await answered;
  if (answer.statusCode !== 204) throw new Error(`PUT: ${answer.statusCode}`);
  answer.resume();
}

async function download(url: string): Promise<void> {
  const call = request(url).end();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  let received = 0;
  for await (const piece of answer) received += (piece as Buffer).length;
  if (received !== sizeBytes) throw new Error(`${received} bytes came instead of ${sizeBytes}`);
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}

function mib(bytes: number): number {
  return Math.round(bytes / MIB);
}
