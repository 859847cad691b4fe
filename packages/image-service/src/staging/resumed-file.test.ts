import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LastingSource } from './resumed-file.ts';
import { comingPath, receiveResumed } from './resumed-file.ts';

const MEBIBYTE = 2 ** 20;
/** Random, a hole over the place of the first note, random. */
const CONTENT = Buffer.concat([randomBytes(2 * MEBIBYTE), Buffer.alloc(70 * MEBIBYTE), randomBytes(MEBIBYTE + 7)]);
const NOTED = 64 * MEBIBYTE;

let dir: string;
let path: string;
let asked: number[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-resumed-'));
  path = join(dir, 'file');
  asked = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** The content, cut off before `end` where that is given. */
function source(identity: string, end = Infinity): LastingSource {
  return {
    identity,
    sizeBytes: CONTENT.length,
    async *from(offset) {
      asked.push(offset);
      for (let at = offset; at < CONTENT.length; at += MEBIBYTE) {
        if (at >= end) throw new Error('cut off');
        yield CONTENT.subarray(at, at + MEBIBYTE);
      }
    },
  };
}

const receive = (from: LastingSource, expected: number[] = []): ReturnType<typeof receiveResumed> =>
  receiveResumed(path, from, { expect: async (bytes) => void expected.push(bytes) });

async function expectWhole(): Promise<void> {
  expect((await readFile(path)).equals(CONTENT)).toBe(true);
  expect(await readdir(dir)).toEqual(['file']);
}

test('a file appears when it is whole, its zeros as holes', async () => {
  const expected: number[] = [];
  expect(await receive(source('x'), expected)).toEqual({ sizeBytes: CONTENT.length });
  await expectWhole();
  expect(expected).toEqual([CONTENT.length]);
  expect((await stat(path)).blocks * 512).toBeLessThan(8 * MEBIBYTE);
});

describe('after a cut', () => {
  test.each([
    { name: 'what was noted is not read again', cutAt: NOTED + 3 * MEBIBYTE, identity: 'x', from: NOTED },
    { name: 'what was not noted is', cutAt: NOTED - MEBIBYTE, identity: 'x', from: 0 },
    { name: 'nothing of another source is gone on with', cutAt: NOTED + 3 * MEBIBYTE, identity: 'y', from: 0 },
  ])('$name', async ({ cutAt, identity, from }) => {
    await expect(receive(source('x', cutAt))).rejects.toThrow('cut off');
    const expected: number[] = [];
    await receive(source(identity), expected);
    expect([asked.at(-1), expected]).toEqual([from, [CONTENT.length - from]]);
    await expectWhole();
  });

  test('a note whose bytes are gone is not believed, also not later', async () => {
    await mkdir(comingPath(path));
    const note = JSON.stringify({ identity: 'x', doneBytes: NOTED });
    await writeFile(join(comingPath(path), 'note.json'), note);
    await expect(receive(source('x', 3 * MEBIBYTE))).rejects.toThrow('cut off');
    await receive(source('x'));
    expect(asked).toEqual([0, 0]);
    await expectWhole();
  });
});

test('a file that is there already is not read again', async () => {
  await receive(source('x'));
  await receive(source('x'));
  expect(asked).toEqual([0]);
});

test('what is not wanted leaves nothing that is taken for a file', async () => {
  const refused = receiveResumed(path, source('x'), { expect: () => Promise.reject(new Error('no room')) });
  await expect(refused).rejects.toThrow('no room');
  expect(asked).toEqual([]);
  expect(await stat(path).catch(() => undefined)).toBe(undefined);
});
