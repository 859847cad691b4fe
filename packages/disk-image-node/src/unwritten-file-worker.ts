import { parentPort, workerData } from 'node:worker_threads';
import type { ByteSource, DiskImage, ProgressListener, TargetPieces } from '@diskmorph/disk-image';
import { denyReferences, ImageError, planUnwrittenTarget, unwrittenTarget } from '@diskmorph/disk-image';
import { requireFormat } from './image-file.ts';
import { packError, unpackError } from './lane-message.ts';
import { nodeCodecs } from './native-codecs.ts';
import { descriptorFile, descriptorRuns } from './unnamed-file.ts';
import type { FromUnwrittenFile, PlannedFile, ToUnwrittenFile, UnwrittenFileWork } from './unwritten-file-message.ts';
import { PLANNING_ID } from './unwritten-file-message.ts';
import { windowedReads } from './windowed-reads.ts';

const work = workerData as UnwrittenFileWork;
const codecs = nodeCodecs();

/** What is said goes at once; memory of bytes is handed over, not copied. */
function send(message: FromUnwrittenFile): void {
  if (message.kind === 'bytes') parentPort?.postMessage(message, [message.bytes.buffer as ArrayBuffer]);
  else parentPort?.postMessage(message);
}

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

const waiting = new Map<number, Waiting>();
let asked = 0;

/** The source is read by the thread that has it. */
const source: ByteSource = windowedReads(
  work.sourceSize,
  (offset, length) =>
    new Promise((resolve, reject) => {
      const id = ++asked;
      waiting.set(id, { resolve, reject });
      send({ kind: 'source', id, offset, length });
    }),
);

function arrived(message: Exclude<ToUnwrittenFile, { readonly kind: 'read' }>): void {
  const waiter = waiting.get(message.id);
  waiting.delete(message.id);
  if (message.kind === 'source-failed') waiter?.reject(unpackError(message.error));
  else waiter?.resolve(message.bytes);
}

let opened: ByteSource | undefined;
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (message: ToUnwrittenFile) => {
  if (message.kind !== 'read') {
    arrived(message);
    return;
  }
  const { id, offset, length } = message;
  last = last.then(async () => {
    try {
      const bytes = new Uint8Array(length);
      await opened?.read(offset, bytes);
      send({ kind: 'bytes', id, bytes });
    } catch (error) {
      send({ kind: 'failed', id, error: packError(error) });
    }
  });
});

try {
  await start();
} catch (error) {
  send({ kind: 'failed', id: PLANNING_ID, error: packError(error) });
}

async function start(): Promise<void> {
  const { planned } = work;
  const image = await openSource();
  const pieces: TargetPieces = {
    source: image,
    target: requireFormat(work.target.format),
    codecs,
    tables: descriptorFile(work.tablesFd, planned?.target.sizeBytes),
    runs: descriptorRuns(work.runsFd, planned?.runCount),
  };
  const file = planned ?? (await plan(pieces));
  opened = unwrittenTarget(file.target, pieces);
  send({ kind: 'ready', planned: file });
}

function openSource(): Promise<DiskImage> {
  const format = requireFormat(work.format);
  if (format.open === undefined) throw new ImageError('unsupported', `${format.name} images cannot be read`);
  return format.open(source, { codecs, references: denyReferences });
}

function onProgress({ bytesDone, bytesTotal }: Parameters<ProgressListener>[0]): void {
  send({ kind: 'progress', bytesDone, bytesTotal });
}

async function plan(pieces: TargetPieces): Promise<PlannedFile> {
  const { options, fileName } = work.target;
  const target = await planUnwrittenTarget({ ...pieces, options, fileName, onProgress });
  await pieces.runs.flush();
  return { target, runCount: pieces.runs.count };
}
