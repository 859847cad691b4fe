/** A reader whose parser does what a file's name asks for: the worst that a hostile image could make it do. */
import { readFileSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { readBytes } from '@diskmorph/disk-image';
import { descriptorSource } from '@diskmorph/disk-image-node';
import type { SourceAtHand } from '../src/import/image-tools.ts';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { serveReader } from '../src/import/readers/serve-reader.ts';

const MIB = 2 ** 20;

const HEAD = 32;
/** Sent before something goes wrong in the middle: more than pipes hold. */
const MIDDLE = 2 * MIB;

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
async function plantIn(head: Uint8Array, point: string): Promise<void> {
  const words = Buffer.from(head).toString().split('\0')[0] ?? '';
  if (words.startsWith(point)) await PLANTS[words.slice(point.length)]?.();
}

async function headOf(source: SourceAtHand): Promise<Uint8Array> {
  if ('fd' in source) return readBytes(descriptorSource(source.fd, 'The image'), 0, HEAD);
  for await (const head of source.read({ offset: 0, length: HEAD })) return Uint8Array.from(head);
  return new Uint8Array();
}

const tools = nodeImageTools(1);
serveReader({
  ...tools,
  async inspectSource(source, options) {
    await plantIn(await readBytes(source, 0, Math.min(HEAD, source.size)), '');
    return tools.inspectSource(source, options);
  },
  async openInFormat(order, work) {
    const head = await headOf(order.source);
    await plantIn(head, 'opening ');
    const image = await tools.openInFormat(order, work);
    async function* read(range: Parameters<typeof image.read>[0]): AsyncGenerator<Uint8Array> {
      let sent = 0;
      for await (const piece of image.read(range)) {
        if (sent >= MIDDLE) await plantIn(head, 'sending ');
        sent += piece.length;
        yield piece;
      }
    }
    return { ...image, read };
  },
});
