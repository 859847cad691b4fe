import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { ByteSource } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import { giveBack } from '../../store/byte-stream.ts';
import type { FormatWork, ImageInFormat, ImageTools } from '../image-tools.ts';
import type { StoredData } from '../stored-data.ts';
import { packError, unpackError } from './packed-error.ts';
import type { FromReader, HandedSource, ReaderCalls, ToReader } from './reader-messages.ts';
import { READER_FDS } from './reader-messages.ts';

/** Kills the process when the service is gone, also while the main thread is caught in something. */
const WATCH_LIFELINE = `
  const { readSync } = require('node:fs');
  try { while (readSync(${READER_FDS.lifeline}, Buffer.alloc(1)) > 0); } catch {}
  process.kill(process.pid, 'SIGKILL');
`;

type CallWork = Omit<FormatWork, 'stallMs'>;

type Handlers = {
  readonly [Method in keyof ReaderCalls]: (
    of: ReaderCalls[Method]['of'],
    work: CallWork,
  ) => Promise<ReaderCalls[Method]['gives']>;
};

/** Makes this process a reader: it does with `tools` what the service asks for, until the service goes away. */
export function serveReader(tools: ImageTools): void {
  new Worker(WATCH_LIFELINE, { eval: true }).unref();
  process.on('disconnect', die);
  process.on('exit', die);
  const border = serviceBorder();
  const handlers = readerHandlers(tools, border);
  const running = new Map<number, AbortController>();
  const answer = async (call: number, method: keyof ReaderCalls, of: unknown): Promise<void> => {
    const control = new AbortController();
    running.set(call, control);
    const work: CallWork = {
      signal: control.signal,
      onBytes: (done, total) => send({ call, done, total }),
      room: (bytes) => border.askForRoom(call, bytes),
    };
    // The border keeps no types: both sides are of one build.
    const handle = handlers[method] as (of: unknown, work: CallWork) => Promise<unknown>;
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

function readerHandlers(tools: ImageTools, border: Border): Handlers {
  return {
    inspectSource: (of) => tools.inspectSource(border.open(of), of),
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
    ...formatHandlers(tools, border),
  };
}

function formatHandlers(tools: ImageTools, border: Border): Pick<Handlers, 'openInFormat' | 'sendRange'> {
  const { tables: tablesFd, runs: runsFd, source: fd } = READER_FDS;
  let opened: ImageInFormat | undefined;
  return {
    async openInFormat({ streamedBytes: sizeBytes, ...order }, work) {
      const source = sizeBytes === null ? { fd } : { sizeBytes, read: border.streamed };
      // The service sees by itself that nothing moves.
      opened = await tools.openInFormat({ ...order, source, tablesFd, runsFd }, { ...work, stallMs: Infinity });
      return opened.planned;
    },
    async sendRange(range) {
      if (opened === undefined) throw new Error('assertion failed: an image is open before it is sent');
      let sending = Promise.resolve();
      for await (const piece of opened.read(range)) {
        // One piece is on its way while the next one is made.
        await sending;
        sending = sendPiece(piece);
        sending.catch(() => {});
      }
      await sending;
      return null;
    },
  };
}

const readSome = promisify(read);
const writeSome = promisify(write);

/** Fills it from the pipe of the image. */
async function fill(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await readSome(READER_FDS.source, bytes, done, bytes.length - done, null);
    if (bytesRead === 0) throw new ImageError('truncated', 'The service gives no more of the image');
    done += bytesRead;
  }
}

/** Waits while the service takes nothing. The memory of the piece is given back at once. */
async function sendPiece(piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.length;) {
    done += (await writeSome(READER_FDS.bytes, piece, done, piece.length - done)).bytesWritten;
  }
  giveBack(piece);
}

type Handed = Extract<ToReader, { readonly handed: number }>;

interface Border {
  /** A source whose bytes the service hands over as they are asked for. */
  open(handed: HandedSource): ByteSource;
  askForRoom(call: number, bytes: number): Promise<void>;
  /** A range of the image, which comes through the pipe of it; after a failure there are no others. */
  streamed: StoredData['read'];
  /** Takes what the service answers. */
  settle(message: Handed): void;
}

interface Asked {
  readonly answer: Promise<Uint8Array | undefined>;
  /** No answer will come. */
  forget(): void;
}

type Unnumbered<Message> = Message extends { readonly wanted: number } ? Omit<Message, 'wanted'> : never;

/** What is asked of the service. */
function serviceBorder(): Border {
  const waiting = new Map<number, PromiseWithResolvers<Uint8Array | undefined>>();
  let asked = 0;
  let last = Promise.resolve();
  const ask = (what: Unnumbered<FromReader>): Asked => {
    const wanted = asked++;
    const settled = Promise.withResolvers<Uint8Array | undefined>();
    waiting.set(wanted, settled);
    send({ wanted, ...what });
    return { answer: settled.promise, forget: () => void waiting.delete(wanted) };
  };
  return {
    open: ({ source, size }) => ({
      size,
      async read(offset, into) {
        if (offset + into.length > size) throw new ImageError('truncated', 'The data ends early', { offset });
        into.set((await ask({ source, offset, length: into.length }).answer) ?? []);
      },
      close: async () => {},
    }),
    async askForRoom(call, room) {
      await ask({ call, room }).answer;
    },
    async *streamed(range = { offset: 0, length: 0 }) {
      const { answer, forget } = ask({ streamed: range });
      const bytes = new Uint8Array(range.length);
      // What was asked for first comes first.
      last = last.then(() => fill(bytes));
      // An answer is a failure.
      await Promise.race([last, answer]);
      forget();
      yield bytes;
    },
    settle(message) {
      const settled = waiting.get(message.handed);
      waiting.delete(message.handed);
      if ('error' in message) settled?.reject(unpackError(message.error));
      else settled?.resolve('bytes' in message ? message.bytes : undefined);
    },
  };
}
