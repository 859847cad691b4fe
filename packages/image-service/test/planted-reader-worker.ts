/** A reader whose parser does what a file's name asks for: the worst that a hostile image could make it do. */
import { readFileSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { serveReader } from '../src/import/readers/serve-reader.ts';

const MIB = 2 ** 20;

const PLANTS: Readonly<Record<string, () => unknown>> = {
  hang() {
    for (;;);
  },
  crash: () => process.abort(),
  segfault: () => process.kill(process.pid, 'SIGSEGV'),
  exit: () => process.exit(0),
  'bytes bomb': () => Array.from({ length: 4096 }, () => new Uint8Array(MIB).fill(1)),
  'objects bomb'() {
    const kept: unknown[] = [];
    for (;;) kept.push(Array.from({ length: 100_000 }, (_, index) => index + 0.5));
  },
  'other file': () => readFileSync('/etc/passwd'),
  'other folder': () => readdirSync('/'),
  async network() {
    const { promise, reject } = Promise.withResolvers<never>();
    new Socket().on('error', reject).connect(9, '127.0.0.1');
    return promise;
  },
};

const tools = nodeImageTools(1);
serveReader({
  ...tools,
  async inspectSource(source, options) {
    const head = Buffer.alloc(Math.min(32, source.size));
    await source.read(0, head);
    const plant = PLANTS[head.toString().split('\0')[0] ?? ''];
    if (plant !== undefined) await plant();
    return tools.inspectSource(source, options);
  },
});
