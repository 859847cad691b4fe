import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackage, requireQemuImg } from '../../../../fixtures/peers.ts';
import type { PageAnswer } from './page.ts';

const SAMPLE = path.join(import.meta.dirname, '../../../../fixtures/sample.qcow2');
let folder = '';
let server: Server;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-browser-'));
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['source'] },
    build: {
      outDir: folder,
      lib: { entry: path.join(import.meta.dirname, 'page.ts'), formats: ['es'], fileName: () => 'page.js' },
    },
  });
  const files: Readonly<Record<string, readonly [string, Buffer]>> = {
    '/': ['text/html', Buffer.from('<!doctype html><script type="module" src="/page.js"></script>')],
    '/page.js': ['text/javascript', await readFile(path.join(folder, 'page.js'))],
    '/sample.qcow2': ['application/octet-stream', await readFile(SAMPLE)],
  };
  server = createServer((request, response) => {
    const [type, body] = files[request.url ?? ''] ?? ['text/plain', Buffer.of()];
    response.writeHead(body.length === 0 ? 404 : 200, { 'content-type': type }).end(body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  browser = await chromium.launch({
    executablePath: await requirePackage('chromium', 'chromium'),
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
});

afterAll(async () => {
  await browser?.close();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

test('Chromium inspects and converts a real image with the core alone', async () => {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction('"convertSample" in globalThis');
  const answer = (await page.evaluate('convertSample("/sample.qcow2")')) as PageAnswer;

  expect(answer.verdict).not.toBe('unsafe');
  expect(answer.errorCode).toBe('truncated');
  expect(answer.steps.map((step) => step.format)).toEqual(['vmdk', 'qcow2', 'raw']);
  expect(new Set(answer.steps.map((step) => step.contentId)).size).toBe(1);

  const raw = path.join(folder, 'sample.raw');
  execFileSync(await requireQemuImg(), ['convert', '-O', 'raw', SAMPLE, raw]);
  const expected = createHash('sha256')
    .update(await readFile(raw))
    .digest();
  expect(Buffer.from(answer.steps[2]?.bytes ?? [])).toEqual(expected);
});
