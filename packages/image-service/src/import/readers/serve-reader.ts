import { Worker } from 'node:worker_threads';
import type { ByteSource } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import type { ImageTools, ToolWork } from '../image-tools.ts';
import { packError, unpackError } from './packed-error.ts';
import type { FromReader, HandedSource, ReaderCalls, ToReader } from './reader-messages.ts';

/** The descriptor of a pipe whose other end is the service's alone: it ends when the service does. */
export const LIFELINE_FD = 4;

/** Kills the process when the service is gone, also while the main thread is caught in something. */
const WATCH_LIFELINE = `
  const { readSync } = require('node:fs');
  try { while (readSync(${LIFELINE_FD}, Buffer.alloc(1)) > 0); } catch {}
  process.kill(process.pid, 'SIGKILL');
`;

type Handlers = {
  readonly [Method in keyof ReaderCalls]: (
    of: ReaderCalls[Method]['of'],
    work: ToolWork,
  ) => Promise<ReaderCalls[Method]['gives']>;
};

/** Makes this process a reader: it does with `tools` what the service asks for, until the service goes away. */
export function serveReader(tools: ImageTools): void {
  new Worker(WATCH_LIFELINE, { eval: true }).unref();
  process.on('disconnect', die);
  process.on('exit', die);
  const border = handedSources();
  const handlers = readerHandlers(tools, border.open);
  const running = new Map<number, AbortController>();
  const answer = async (call: number, method: keyof ReaderCalls, of: unknown): Promise<void> => {
    const control = new AbortController();
    running.set(call, control);
    const work: ToolWork = { signal: control.signal, onBytes: (done, total) => send({ call, done, total }) };
    // The border keeps no types: both sides are of one build.
    const handle = handlers[method] as (of: unknown, work: ToolWork) => Promise<unknown>;
    try {
      send({ call, gives: await handle(of, work) });
    } catch (error) {
      send({ call, error: packError(error) });
    } finally {
      running.delete(call);
    }
  };
  process.on('message', (message: ToReader) => {
    if ('method' in message) void answer(message.call, message.method, message.of);
    else if ('abort' in message) running.get(message.abort)?.abort(new Error('cancelled'));
    else border.settle(message);
  });
  send({ ready: true });
}

/** A thread that waits for the lifeline would be waited for by an end in order. */
function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

function send(message: FromReader): void {
  process.send?.(message);
}

function readerHandlers(tools: ImageTools, open: (handed: HandedSource) => ByteSource): Handlers {
  return {
    inspectSource: (of) => tools.inspectSource(open(of), of),
    isPacked: ({ path }) => tools.isPacked(path),
    inspectPacked: ({ path, ...of }, { signal }) =>
      tools.inspectPacked(path, { ...of, ...(signal === undefined ? {} : { signal }) }),
    unpack: ({ from, to, ...of }, work) => tools.unpack(from, to, { ...of, ...work }),
    forecast: (of, work) => tools.forecast(of, work),
    convert: ({ checkpointDir, ...of }, work) => tools.convert(of, { ...work, checkpointDir }),
    async verify({ expected, ...file }, work) {
      await tools.verify(file, expected, work);
      return null;
    },
  };
}

type Handed = Extract<ToReader, { readonly handed: number }>;

/** Sources whose bytes the service hands over as they are asked for. */
function handedSources(): { open(handed: HandedSource): ByteSource; settle(message: Handed): void } {
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array>>();
  let asked = 0;
  return {
    open: ({ source, size }) => ({
      size,
      async read(offset, into) {
        if (offset + into.length > size) throw new ImageError('truncated', 'The data ends early', { offset });
        const wanted = asked++;
        const settled = Promise.withResolvers<Uint8Array>();
        waiting.set(wanted, settled);
        send({ wanted, source, offset, length: into.length });
        into.set(await settled.promise);
      },
      close: async () => {},
    }),
    settle(message) {
      const settled = waiting.get(message.handed);
      waiting.delete(message.handed);
      if ('bytes' in message) settled?.resolve(message.bytes);
      else settled?.reject(unpackError(message.error));
    },
  };
}
