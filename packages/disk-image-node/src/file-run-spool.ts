import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import type { PlacedRun, RunSpool } from '@diskmorph/disk-image';
import { ImageError, PACKED_RUN_NUMBERS, packRun, unpackRuns } from '@diskmorph/disk-image';
import { ioError } from './io-error.ts';
import { flushFile } from './flush-file.ts';

const RUN_BYTES = PACKED_RUN_NUMBERS * 8;
const BATCH_RUNS = 4096;
/** Packed batches kept in memory before they go to the file: 12 MiB, the runs of 16 GiB of 64 KiB units at the least. */
const MAX_BATCHES_IN_MEMORY = 64;

/** A spool that spills to a file, so that memory stays bounded whatever the size of the image. */
export interface FileRunSpool extends RunSpool {
  close(): Promise<void>;
}

/** The spool at `path`, of which the first `count` runs are kept; created when first needed. */
export function fileRunSpool(path: string, count: number): FileRunSpool {
  let file: Promise<FileHandle> | undefined;
  let waiting: PlacedRun[] = [];
  let batches: Float64Array[] = [];
  let total = count;
  let stored = count;
  let writing: Promise<void> = Promise.resolve();

  const handle = (): Promise<FileHandle> =>
    (file ??= open(path, stored === 0 ? 'w+' : 'r+').then(async (opened) => {
      await opened.truncate(stored * RUN_BYTES);
      return opened;
    }));
  const pack = (): void => {
    if (waiting.length === 0) return;
    const batch = new Float64Array(waiting.length * PACKED_RUN_NUMBERS);
    waiting.forEach((run, index) => packRun(batch, index, run));
    batches.push(batch);
    waiting = [];
  };
  const spill = (): void => {
    const spilled = batches;
    batches = [];
    writing = writing.then(async () => {
      const target = await handle();
      for (const batch of spilled) {
        await target.write(new Uint8Array(batch.buffer), 0, batch.byteLength, stored * RUN_BYTES);
        stored += batch.length / PACKED_RUN_NUMBERS;
      }
    });
    writing.catch(() => {});
  };
  const settled = async (): Promise<void> => {
    await writing.catch((error: unknown) => {
      throw ioError('Cannot write the list of stored units', error);
    });
  };
  return {
    append(runs) {
      waiting.push(...runs);
      total += runs.length;
      if (waiting.length >= BATCH_RUNS) pack();
      if (batches.length >= MAX_BATCHES_IN_MEMORY) spill();
    },
    get count() {
      return total;
    },
    async flush() {
      pack();
      spill();
      await settled();
      await flushFile((await handle()).fd);
    },
    async *read() {
      pack();
      await settled();
      for (let first = 0; first < stored; first += BATCH_RUNS) {
        const count = Math.min(BATCH_RUNS, stored - first);
        yield unpackRuns(await readBatch(await handle(), first, count), count);
      }
      for (const batch of batches) yield unpackRuns(batch, batch.length / PACKED_RUN_NUMBERS);
    },
    async close() {
      await (await file)?.close();
    },
  };
}

async function readBatch(file: FileHandle, first: number, count: number): Promise<Float64Array> {
  const batch = new Float64Array(count * PACKED_RUN_NUMBERS);
  const { bytesRead } = await file.read(new Uint8Array(batch.buffer), 0, batch.byteLength, first * RUN_BYTES);
  if (bytesRead !== batch.byteLength)
    throw new ImageError('io', 'The list of stored units was cut while it was in use');
  return batch;
}
