import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newDownloadPlan } from '../src/import/converted/download-plan.ts';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import { isolatedImageTools } from '../src/import/readers/isolated-tools.ts';

const MIB = 2 ** 20;
const said: string[] = [];
const local = nodeImageTools(2);
const options = { memoryBytes: 128 * MIB, threads: 2, patienceMs: 20_000, log: (line: string) => said.push(line) };
const tools = isolatedImageTools(local, options);
const planted = isolatedImageTools(local, {
  ...options,
  patienceMs: 8000,
  entry: join(import.meta.dirname, 'planted-reader-worker.ts'),
});
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-readers-'));
});
afterAll(async () => {
  await tools.close();
  await planted.close();
  await rm(dir, { recursive: true });
});

function inspectPlanted(what: string): Promise<unknown> {
  const bytes = Buffer.alloc(4096);
  bytes.write(what);
  const source = {
    size: bytes.length,
    read: async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.length)),
    close: async () => {},
  };
  return planted.inspectSource(
    { ...source, read: async (at, into) => void (await source.read(at, into)) },
    {
      maxVirtualSize: 2 ** 40,
    },
  );
}

describe('a parser that goes wrong fails its image, with a reason, and nothing else', () => {
  test.each([
    { what: 'hang', code: 'reader_hung' },
    { what: 'crash', code: 'reader_died' },
    { what: 'segfault', code: 'reader_died' },
    { what: 'exit', code: 'reader_died' },
    { what: 'bytes bomb', code: 'reader_out_of_memory' },
    { what: 'objects bomb', code: 'reader_out_of_memory' },
    { what: 'other file', code: 'ERR_ACCESS_DENIED' },
    { what: 'other folder', code: 'ERR_ACCESS_DENIED' },
    { what: 'network', code: 'ERR_ACCESS_DENIED' },
  ])('$what', async ({ what, code }) => {
    const [bad, good] = await Promise.allSettled([inspectPlanted(what), inspectPlanted('nothing')]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { code } });
    expect(good).toMatchObject({ status: 'fulfilled', value: { format: 'raw' } });
  });
});

/** An image that is given in another format, and how much of it came. */
async function givePlanted(what: string, format: string): Promise<{ readonly sizeBytes: number; received: number }> {
  const bytes = Buffer.alloc(3 * MIB, 'bytes');
  bytes.write(`${what}\0`);
  async function* read({ offset, length } = { offset: 0, length: bytes.length }): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(offset, offset + length);
  }
  const plan = await newDownloadPlan(dir);
  const release = plan.use();
  try {
    const given = { received: 0, sizeBytes: 0 };
    const target = { format, options: {}, fileName: 'disk' };
    const { tablesFd, runsFd, planned } = plan;
    const image = await planted.openInFormat(
      { source: { sizeBytes: bytes.length, read }, format: 'raw', target, tablesFd, runsFd, planned },
      { stallMs: what.endsWith('hang') ? 3000 : 30_000, room: async () => {} },
    );
    given.sizeBytes = image.planned.target.sizeBytes;
    try {
      for await (const piece of image.read({ offset: 0, length: given.sizeBytes })) given.received += piece.length;
      return given;
    } catch (error) {
      throw Object.assign(error as Error, given);
    } finally {
      image.close();
    }
  } finally {
    await release();
  }
}

describe('an image in another format whose parser goes wrong is not given, and nothing else fails', () => {
  test.each([
    { what: 'hang', code: 'reader_hung' },
    { what: 'crash', code: 'reader_died' },
    { what: 'objects bomb', code: 'reader_out_of_memory' },
    { what: 'other file', code: 'ERR_ACCESS_DENIED' },
    { what: 'network', code: 'ERR_ACCESS_DENIED' },
  ])('$what, before the first byte', async ({ what, code }) => {
    const [bad, good] = await Promise.allSettled([
      givePlanted(`opening ${what}`, 'vdi'),
      givePlanted('nothing', 'vdi'),
    ]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { code } });
    expect(bad).not.toHaveProperty('reason.received');
    expect(good.status === 'fulfilled' && good.value.received).toBeGreaterThan(3 * MIB);
  });

  test.each([
    { what: 'hang', code: 'reader_hung' },
    { what: 'segfault', code: 'reader_died' },
    { what: 'bytes bomb', code: 'reader_out_of_memory' },
  ])('$what, in the middle', async ({ what, code }) => {
    const bad = await givePlanted(`sending ${what}`, 'raw').catch((error: unknown) => error);
    expect(bad).toMatchObject({ code, sizeBytes: 3 * MIB });
    expect((bad as { readonly received: number }).received).toBeLessThan(3 * MIB);
  });
});

test('what is read apart is what is read here: verdict, forecast, conversion, verification', async () => {
  const disk = Buffer.concat([Buffer.alloc(512, 0x55), randomBytes(3 * MIB), Buffer.alloc(5 * MIB), randomBytes(MIB)]);
  const raw = join(dir, 'disk.raw');
  const path = join(dir, 'disk.qcow2');
  await writeFile(raw, disk);
  const conversion = {
    source: { path: raw, format: 'raw' },
    target: { path, format: 'qcow2', options: { compression: 'zstd' } },
  };
  expect(await tools.forecast(conversion, {})).toEqual(await local.forecast(conversion, {}));
  const steps: number[] = [];
  const done = await tools.convert(conversion, {
    checkpointDir: join(dir, 'checkpoints'),
    onBytes: (bytes) => steps.push(bytes),
  });
  expect(steps.length).toBeGreaterThan(0);
  await tools.verify({ path, format: 'qcow2' }, done, {});
  await local.verify({ path, format: 'qcow2' }, done, {});
  expect(await tools.inspect(path, { declared: 'qcow2', maxVirtualSize: 2 ** 40 })).toEqual(
    await local.inspect(path, { declared: 'qcow2', maxVirtualSize: 2 ** 40 }),
  );
});

test('a conversion that is cancelled ends, and its reader can be used again', async () => {
  const raw = join(dir, 'large.raw');
  await writeFile(raw, randomBytes(64 * MIB));
  const control = new AbortController();
  const conversion = {
    source: { path: raw, format: 'raw' },
    target: { path: join(dir, 'large.qcow2'), format: 'qcow2', options: { compression: 'zstd' } },
  };
  const converting = tools.convert(conversion, {
    checkpointDir: join(dir, 'checkpoints'),
    signal: control.signal,
    onBytes: () => control.abort(new Error('stop')),
  });
  await expect(converting).rejects.toThrow('stop');
  expect(await tools.forecast(conversion, {})).toMatchObject({ virtualSize: 64 * MIB });
});

test('readers do not outlive the service, even when they hang', async () => {
  const program = `
    const { isolatedImageTools } = await import(${JSON.stringify(join(import.meta.dirname, '../src/import/readers/isolated-tools.ts'))});
    const { nodeImageTools } = await import(${JSON.stringify(join(import.meta.dirname, '../src/import/node-image-tools.ts'))});
    const tools = isolatedImageTools(nodeImageTools(1), {
      memoryBytes: 2 ** 27, threads: 1, patienceMs: 60000, log() {},
      entry: ${JSON.stringify(join(import.meta.dirname, 'planted-reader-worker.ts'))},
    });
    const read = async (at, into) => { into.write?.('hang'); Buffer.from(into.buffer, into.byteOffset).write('hang'); setTimeout(() => process.kill(process.pid, 'SIGKILL'), 300); };
    await tools.inspectSource({ size: 4096, read, close: async () => {} }, { maxVirtualSize: 1 });
  `;
  const parameters = ['--conditions=source', '--input-type=module', '-e', program];
  await promisify(execFile)(process.execPath, parameters).catch(() => {});
  // Asked until none is left: the test's time limit is the judge.
  let left = true;
  while (left) left = await hangingReaders();
  expect(left).toBe(false);
});

/** Is a reader of the killed service left? */
async function hangingReaders(): Promise<boolean> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(processes.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return lines.some((line) => line.includes('planted-reader-worker') && line.includes('--permission') && !mine(line));
}

/** Those of this test file have another number of threads. */
function mine(line: string): boolean {
  return !line.split('\0').slice(-2).includes('1');
}
