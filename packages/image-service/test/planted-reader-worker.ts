/** A reader whose parser does what a file's name asks for: the worst that a hostile image could make it do. */
import { readFileSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import type { ByteSource } from '@diskmorph/disk-image';
import { descriptorSource } from '@diskmorph/disk-image-node';
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

/** What the image's first bytes ask for at this point; nothing for all others. */
async function plantIn(source: ByteSource, point: string): Promise<void> {
  const head = Buffer.alloc(Math.min(32, source.size));
  await source.read(0, head);
  const words = head.toString().split('\0')[0] ?? '';
  if (words.startsWith(point)) await PLANTS[words.slice(point.length)]?.();
}

const tools = nodeImageTools(1);
serveReader({
  ...tools,
  async inspectSource(source, options) {
    await plantIn(source, '');
    return tools.inspectSource(source, options);
  },
  async openInFormat(order, work) {
    const source = 'fd' in order.source ? descriptorSource(order.source.fd, 'The image') : order.source.source;
    await plantIn(source, 'opening ');
    const image = await tools.openInFormat(order, work);
    async function* read(range: Parameters<typeof image.read>[0]): AsyncGenerator<Uint8Array> {
      let sent = 0;
      for await (const piece of image.read(range)) {
        if (sent > 0) await plantIn(source, 'sending ');
        sent += piece.length;
        yield piece;
      }
    }
    return { ...image, read };
  },
});
