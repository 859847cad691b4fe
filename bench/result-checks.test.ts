import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../fixtures/command.ts';
import { requireQemuImg } from '../fixtures/peers.ts';
import type { Source, Task } from './cases.ts';
import { checkOutcome } from './result-checks.ts';

const SAMPLE = join(import.meta.dirname, '..', 'fixtures', 'sample.qcow2');
const SOURCE: Source = { kind: 'file', path: SAMPLE, format: 'qcow2' };
const CONVERT: Task = { kind: 'convert', source: SOURCE, targetFormat: 'raw', options: [], verifiedOptions: [] };
const HASH: Task = { kind: 'convert-and-hash', source: SOURCE };

let work = '';
let qemuImg = '';
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'diskmorph-bench-checks-'));
  qemuImg = await requireQemuImg();
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** The sample as raw, and what there is to know about it. */
async function converted(name: string): Promise<{ target: string; sha512: string }> {
  const target = join(work, name);
  await runCommand(qemuImg, ['convert', '-f', 'qcow2', '-O', 'raw', SAMPLE, target]);
  return {
    target,
    sha512: createHash('sha512')
      .update(await readFile(target))
      .digest('hex'),
  };
}

const places = (target: string): { source: string; other: string; target: string } => ({
  source: SAMPLE,
  other: '',
  target,
});

test('a right conversion passes, with a right checksum', async () => {
  const { target, sha512 } = await converted('right');
  const outcome = { places: places(target), output: `${sha512}  right\n`, peerOutput: '' };
  await expect(checkOutcome({ ...outcome, task: CONVERT }, qemuImg)).resolves.toBeUndefined();
  await expect(checkOutcome({ ...outcome, task: HASH }, qemuImg)).resolves.toBeUndefined();
});

test('a byte that is wrong is found', async () => {
  const { target } = await converted('wrong');
  const file = await open(target, 'r+');
  await file.write(Buffer.from([1]), 0, 1, 40 * 2 ** 20);
  await file.close();
  const outcome = { task: CONVERT, places: places(target), output: '', peerOutput: '' };
  await expect(checkOutcome(outcome, qemuImg)).rejects.toThrow('mismatch');
});

test('a checksum of something else is found', async () => {
  const { target } = await converted('checksum');
  const outcome = { task: HASH, places: places(target), output: 'c0ffee  checksum\n', peerOutput: '' };
  await expect(checkOutcome(outcome, qemuImg)).rejects.toThrow('no SHA-512 of the result');
});

test('other output than the peer printed is found', async () => {
  const task: Task = { kind: 'info', source: SOURCE };
  const outcome = { task, places: places(''), output: 'virtual size: 1', peerOutput: 'virtual size: 2' };
  await expect(checkOutcome(outcome, qemuImg)).rejects.toThrow('not what qemu-img printed');
  await expect(checkOutcome({ ...outcome, peerOutput: outcome.output }, qemuImg)).resolves.toBeUndefined();
});
