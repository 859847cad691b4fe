import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { copyBytes } from './copy.ts';
import { stagingFault } from './errors.ts';
import { hashThreads } from './hash.ts';
import { hashedBytes } from './incoming.ts';
import { checkedId, pathInside, scratchSpace } from './scratch.ts';
import { localPath } from './source-url.ts';
import type { SpaceBook } from './space.ts';
import { promisedBytes, spaceBook } from './space.ts';
import type { SpaceClaims } from './space-claims.ts';
import { spaceClaims } from './space-claims.ts';
import { openStaging } from './staging.ts';

const JOB = '11111111-1111-4111-8111-111111111111';
const OTHER = '22222222-2222-4222-8222-222222222222';
const INSTANCE = '33333333-3333-4333-8333-333333333333';

const hashing = hashThreads();
afterAll(() => hashing.close());

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-staging-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** What `work` gives, or the code of what it throws. */
function outcome(work: () => string): string {
  try {
    return work();
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unexpected';
  }
}

describe('S19: the source of an import', () => {
  test.each([
    { text: '/a/b', expected: '/a/b' },
    { text: 'file:///a/b', expected: '/a/b' },
    { text: 'file:/a/b', expected: '/a/b' },
    { text: 'file://localhost/a', expected: '/a' },
    { text: 'FILE:///a', expected: '/a' },
    { text: 'file:///a%20b%23c', expected: '/a b#c' },
    { text: 'file:///a/../b', expected: '/b' },
    { text: 'file://host/a', expected: 'bad_source' },
    { text: 'file:///a?b', expected: 'bad_source' },
    { text: 'file:///a#b', expected: 'bad_source' },
    { text: 'file:///a%2Fb', expected: 'bad_source' },
    { text: 'file:///a%00b', expected: 'bad_source' },
    { text: '/a\0b', expected: 'bad_source' },
    { text: 'http://host/a', expected: 'bad_source' },
    { text: 'a/b', expected: 'bad_source' },
    { text: '', expected: 'bad_source' },
  ])('$text -> $expected', ({ text, expected }) => {
    expect(outcome(() => localPath(text))).toBe(expected);
  });
});

describe('S19: ids and names that become parts of paths', () => {
  test.each([
    { id: JOB, expected: JOB },
    { id: JOB.replaceAll('1', 'F'), expected: 'bad_id' },
    { id: '../../etc/passwd', expected: 'bad_id' },
    { id: `${JOB}/..`, expected: 'bad_id' },
    { id: '', expected: 'bad_id' },
  ])('id $id -> $expected', ({ id, expected }) => {
    expect(outcome(() => checkedId(id))).toBe(expected);
  });

  test.each([
    { name: 'x.converted', expected: '/d/x.converted' },
    { name: '..', expected: 'bad_id' },
    { name: '../x', expected: 'bad_id' },
    { name: 'a/b', expected: 'bad_id' },
    { name: '', expected: 'bad_id' },
    { name: 'a\0', expected: 'bad_id' },
  ])('name $name -> $expected', ({ name, expected }) => {
    expect(outcome(() => pathInside('/d', name))).toBe(expected);
  });
});

describe('scratch directories', () => {
  test('lie below one of their own, and leave nothing when the last is removed', async () => {
    const scratch = scratchSpace(dir, INSTANCE);
    const path = await scratch.directory(JOB);
    await scratch.directory(OTHER);
    await writeFile(join(path, 'x'), 'x');
    await scratch.remove(JOB);
    await scratch.remove(JOB);
    expect(await readdir(join(dir, `diskmorph-${INSTANCE}`))).toEqual([OTHER]);
    await scratch.remove(OTHER);
    expect(await readdir(dir)).toEqual([]);
  });

  test('of other jobs are removed, what belongs to others stays', async () => {
    const scratch = scratchSpace(dir, INSTANCE);
    await scratch.directory(JOB);
    await scratch.directory(OTHER);
    await mkdir(join(dir, `diskmorph-${OTHER}`, JOB), { recursive: true });
    expect(await scratch.keepOnly(async () => [OTHER])).toEqual([JOB]);
    expect((await readdir(dir, { recursive: true })).sort()).toEqual(
      [
        `diskmorph-${INSTANCE}`,
        `diskmorph-${INSTANCE}/${OTHER}`,
        `diskmorph-${OTHER}`,
        `diskmorph-${OTHER}/${JOB}`,
      ].sort(),
    );
  });

  test('of no job at all are none', async () => {
    expect(await scratchSpace(dir, INSTANCE).keepOnly(async () => [])).toEqual([]);
  });

  test('a symbolic link in place of a job is removed, not followed', async () => {
    const kept = join(dir, 'kept');
    await mkdir(kept);
    await writeFile(join(kept, 'x'), 'x');
    const scratch = scratchSpace(dir, INSTANCE);
    await scratch.directory(OTHER);
    await symlink(kept, join(dir, `diskmorph-${INSTANCE}`, JOB));
    await scratch.remove(JOB);
    expect(await readdir(kept)).toEqual(['x']);
  });

  test('one is removed while somebody still writes into it', async () => {
    const scratch = scratchSpace(dir, INSTANCE);
    for (let round = 0; round < 300; round++) {
      const path = await scratch.directory(JOB);
      const write = async (name: string): Promise<void> => {
        for (let file = 0; file < 10; file++) await writeFile(join(path, `${name}${file}`), 'x').catch(() => {});
      };
      const writing = [write('a'), write('b')];
      await scratch.remove(JOB);
      await Promise.all(writing);
    }
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('copying', () => {
  test('keeps the bytes, leaves zeros as holes, reports its progress', async () => {
    const bytes = Buffer.concat([
      randomBytes(300_000),
      Buffer.alloc(4 * 2 ** 20),
      randomBytes(1000),
      Buffer.alloc(2 ** 20),
    ]);
    await writeFile(join(dir, 'from'), bytes);
    const seen: number[] = [];
    const onBytes = (done: number): void => void seen.push(done);
    const copied = await copyBytes({ from: join(dir, 'from'), to: join(dir, 'to'), onBytes });
    expect(copied.sizeBytes).toBe(bytes.length);
    expect((await readFile(join(dir, 'to'))).equals(bytes)).toBe(true);
    expect(seen.at(-1)).toBe(bytes.length);
    const { blocks } = await stat(join(dir, 'to'));
    expect(blocks * 512).toBeLessThan(2 * 2 ** 20);
  });

  test.each([
    { name: 'a missing source', from: 'gone', code: 'io' },
    { name: 'a directory', from: '.', code: 'bad_source' },
    { name: 'more bytes than accepted', from: 'from', maxBytes: 3, code: 'too_large' },
  ])('$name is refused, nothing is left', async ({ from, maxBytes, code }) => {
    await writeFile(join(dir, 'from'), 'four');
    const limit = maxBytes === undefined ? {} : { maxBytes };
    const copying = copyBytes({ from: join(dir, from), to: join(dir, 'to'), ...limit });
    await expect(copying).rejects.toMatchObject({ code });
    await expect(stat(join(dir, 'to'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a source that is written meanwhile is refused', async () => {
    await writeFile(join(dir, 'from'), randomBytes(2 ** 20));
    const onBytes = (): void => void writeFile(join(dir, 'from'), 'other');
    const copying = copyBytes({ from: join(dir, 'from'), to: join(dir, 'to'), onBytes });
    await expect(copying).rejects.toMatchObject({ code: 'source_changed' });
    expect(await readdir(dir)).toEqual(['from']);
  });

  test('a cancelled copy leaves nothing', async () => {
    await writeFile(join(dir, 'from'), randomBytes(2 ** 20));
    const control = new AbortController();
    const copying = copyBytes({
      from: join(dir, 'from'),
      to: join(dir, 'to'),
      signal: control.signal,
      onBytes: () => control.abort(new Error('stop')),
    });
    await expect(copying).rejects.toThrow('stop');
    expect(await readdir(dir)).toEqual(['from']);
  });
});

async function* failing(): AsyncGenerator<Uint8Array> {
  yield randomBytes(1000);
  throw new Error('cut');
}

describe('digests', () => {
  test.each([0, 1, 1000, 4 * 2 ** 20 + 1, 33 * 2 ** 20])('of %i bytes', async (length) => {
    const bytes = randomBytes(length);
    await writeFile(join(dir, 'x'), bytes);
    const seen: number[] = [];
    const onBytes = (done: number): void => void seen.push(done);
    expect(await hashing.file(join(dir, 'x'), ['md5', 'sha512'], { onBytes })).toEqual({
      md5: createHash('md5').update(bytes).digest('hex'),
      sha512: createHash('sha512').update(bytes).digest('hex'),
    });
    expect(seen.at(-1)).toBe(length);
  });

  test('of a missing file fail without its path', async () => {
    await expect(hashing.file(join(dir, 'gone'), ['md5'])).rejects.toMatchObject({
      code: 'io',
      message: 'The bytes cannot be read for their digests: there is no such file',
    });
  });

  test('a cancelled thread ends', async () => {
    await writeFile(join(dir, 'x'), randomBytes(40 * 2 ** 20));
    const control = new AbortController();
    const cancelled = hashing.file(join(dir, 'x'), ['sha512'], {
      signal: control.signal,
      onBytes: () => control.abort(new Error('stop')),
    });
    await expect(cancelled).rejects.toThrow('stop');
  });

  test.each([
    { name: 'nothing', pieces: [] },
    { name: 'one small piece', pieces: [3] },
    { name: 'pieces of every size', pieces: [1, 0, 65_536, 512 * 1024, 512 * 1024 + 1, 5 * 2 ** 20, 7] },
  ])('of bytes that pass: $name', async ({ pieces }) => {
    const given = pieces.map((length) => randomBytes(length));
    const hashed = hashedBytes(Readable.from(given), ['md5', 'sha512'], hashing);
    const passed: Uint8Array[] = [];
    for await (const piece of hashed.bytes) passed.push(Uint8Array.from(piece));
    const whole = Buffer.concat(given);
    expect(Buffer.concat(passed).equals(whole)).toBe(true);
    expect(await hashed.result()).toEqual({
      sizeBytes: whole.length,
      digests: {
        md5: createHash('md5').update(whole).digest('hex'),
        sha512: createHash('sha512').update(whole).digest('hex'),
      },
    });
  });

  test('of streams one after the other are those of each', async () => {
    for (const length of [5 * 2 ** 20, 0, 3, 2 ** 20 + 1]) {
      const bytes = randomBytes(length);
      const hashed = hashedBytes(Readable.from([bytes]), ['md5', 'sha512'], hashing);
      for await (const piece of hashed.bytes) expect(piece.length).toBe(length);
      expect((await hashed.result()).digests.md5).toBe(createHash('md5').update(bytes).digest('hex'));
    }
  });

  test('of twenty streams and files at once are those of each', async () => {
    const files = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const bytes = randomBytes(4 * 2 ** 20 + index);
        await writeFile(join(dir, String(index)), bytes);
        return { path: join(dir, String(index)), bytes };
      }),
    );
    const results = files.map(async ({ path, bytes }, index) => {
      const expected = createHash('md5').update(bytes).digest('hex');
      if (index % 2 === 0) return (await hashing.file(path, ['md5', 'sha512'])).md5 === expected;
      const hashed = hashedBytes(Readable.from([bytes]), ['md5', 'sha512'], hashing);
      for await (const piece of hashed.bytes) expect(piece.length).toBe(bytes.length);
      return (await hashed.result()).digests.md5 === expected;
    });
    expect(await Promise.all(results)).toEqual(files.map(() => true));
  });

  test('a sender that fails is what the reader hears', async () => {
    const hashed = hashedBytes(failing(), ['md5'], hashing);
    const passing = async (): Promise<void> => {
      for await (const piece of hashed.bytes) expect(piece.length).toBe(1000);
    };
    await expect(passing()).rejects.toThrow('cut');
  });

  test('threads that end fail what they were computing, and nothing after it', async () => {
    const own = hashThreads();
    const stream = own.stream(['md5', 'sha512']);
    await stream.write(randomBytes(2 ** 20));
    await own.close();
    await expect(stream.end()).rejects.toThrow('ended without a digest');
    const { md5 } = await (async () => {
      const next = own.stream(['md5']);
      await next.write(new Uint8Array(0));
      return next.end();
    })();
    expect(md5).toBe('d41d8cd98f00b204e9800998ecf8427e');
    await own.close();
  });
});

/** A book over disks with so many free bytes and a margin of 10; a directory's disk is its first letter. */
function bookOf(free: { bytes: number }): SpaceBook {
  return spaceBook({
    marginBytes: 10,
    disk: {
      free: async () => free.bytes,
      total: async () => free.bytes,
      id: async (path) => path.charAt(0),
    },
  });
}

describe('S14: promises of space', () => {
  test('what fits beyond the margin is promised, what does not is refused with both numbers', async () => {
    const ledger = bookOf({ bytes: 110 }).ledger('d');
    await ledger.reserve('a', 100);
    await expect(ledger.reserve('b', 1)).rejects.toMatchObject({
      code: 'insufficient_space',
      message: 'The work needs 1 bytes of disk space, but only 0 are free for it',
    });
    await ledger.release('a');
    await ledger.reserve('b', 100);
  });

  test('two that ask at once do not both get the same bytes, in whatever directories of a disk', async () => {
    const book = bookOf({ bytes: 110 });
    const wishes = [
      book.ledger('d1').reserve('a', 60),
      book.ledger('d2').reserve('a', 60),
      book.ledger('e').reserve('a', 60),
    ];
    const results = await Promise.allSettled(wishes);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('a second promise to the same owner takes the place of the first', async () => {
    const ledger = bookOf({ bytes: 110 }).ledger('d');
    await ledger.reserve('a', 100);
    await ledger.reserve('a', 50);
    await expect(ledger.reserve('b', 50)).resolves.toBeUndefined();
  });

  test('what others were promised is waited for; what the disk does not have is not', async () => {
    const ledger = bookOf({ bytes: 110 }).ledger('d', 60_000);
    await ledger.reserve('a', 100);
    const waiting = ledger.reserve('b', 60);
    await expect(ledger.reserve('c', 101)).rejects.toMatchObject({ code: 'insufficient_space' });
    await ledger.release('a');
    await waiting;
  });

  test('who waits for space can be told to stop', async () => {
    const ledger = bookOf({ bytes: 110 }).ledger('d', 60_000);
    await ledger.reserve('a', 100);
    const control = new AbortController();
    const waiting = ledger.reserve('b', 60, { signal: control.signal });
    setImmediate(() => control.abort(new Error('stop')));
    await expect(waiting).rejects.toThrow('stop');
  });

  test.each([{ totalBytes: 40 }, { totalBytes: undefined }])(
    'bytes that pass are promised before they come: $totalBytes',
    async ({ totalBytes }) => {
      const free = { bytes: 2 ** 28 + 200 };
      const book = bookOf(free);
      const ledger = book.ledger('d');
      const pieces = Readable.from([Buffer.alloc(20), Buffer.alloc(20)]);
      const bytes = promisedBytes(ledger, { owner: 'a', bytes: pieces, totalBytes });
      await bytes.next();
      const left = totalBytes === undefined ? 190 : 2 ** 28 + 190 - 40;
      await expect(ledger.reserve('b', left + 1)).rejects.toMatchObject({ code: 'insufficient_space' });
      await ledger.reserve('b', left);
      for await (const piece of bytes) expect(piece.length).toBe(20);
      await ledger.reserve('b', 2 ** 28 + 190);
    },
  );

  test('what the disk has no room for does not begin to come', async () => {
    const ledger = bookOf({ bytes: 50 }).ledger('d');
    const pieces = Readable.from([Buffer.alloc(20)]);
    const bytes = promisedBytes(ledger, { owner: 'a', bytes: pieces, totalBytes: 41 });
    await expect(bytes.next()).rejects.toMatchObject({ code: 'insufficient_space' });
  });

  test('a promise that is made while another is taken back is heard of, however long that takes', async () => {
    let heard = 0;
    const claims: SpaceClaims = {
      async tell(_directory, bytes) {
        if (bytes === 0) await delay(20);
        heard = bytes;
      },
      ofOthers: async () => 0,
      forgetGone: async () => {},
      close: async () => {},
    };
    const disk = { free: async () => 110, total: async () => 110, id: async () => '' };
    const ledger = spaceBook({ marginBytes: 10, claims, disk }).ledger('d');
    await ledger.reserve('a', 70);
    const released = ledger.release('a');
    await ledger.reserve('b', 60);
    await released;
    expect(heard).toBe(60);
    await ledger.release('b');
    expect(heard).toBe(0);
  });

  test('processes that share a directory hear of each other; what a dead one has claimed is free', async () => {
    const disk = { free: async () => 110, total: async () => 110, id: async () => '' };
    const [one, other] = [spaceClaims('one'), spaceClaims('other')];
    const [mine, theirs] = [one, other].map((claims) => spaceBook({ marginBytes: 10, claims, disk }).ledger(dir));
    await mine?.reserve('a', 70);
    await expect(theirs?.reserve('a', 31)).rejects.toMatchObject({ code: 'insufficient_space' });
    await theirs?.reserve('a', 30);
    await one.close();
    await theirs?.reserve('a', 100);
    await theirs?.release('a');
    expect(await readdir(dir)).toEqual([]);
    await other.close();
    const dead = join(dir, '.diskmorph-space', `${hostname()}.${2 ** 22 + 1}.x`);
    await mkdir(join(dir, '.diskmorph-space'));
    await writeFile(dead, Buffer.alloc(100));
    expect(await spaceClaims('third').ofOthers(dir)).toBe(0);
    await expect(stat(dead)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test('files of a job lie in its directory; discarding what is not there is done', async () => {
  const staging = openStaging({ workDir: dir, instanceId: INSTANCE, marginBytes: 0, hashing });
  const path = await staging.pathOf(JOB, 'x');
  expect(path).toBe(join(dir, `diskmorph-${INSTANCE}`, JOB, 'x'));
  await writeFile(path, 'x');
  await staging.discard(path);
  await staging.discard(path);
  await expect(staging.pathOf(JOB, '../x')).rejects.toMatchObject({ code: 'bad_id' });
  await expect(staging.pathOf('x', 'x')).rejects.toMatchObject({ code: 'bad_id' });
});

test.each([
  { code: 'ENOSPC', expected: { code: 'insufficient_space', message: 'Copying: the disk is full' } },
  { code: 'EACCES', expected: { code: 'io', message: 'Copying: permission denied' } },
  { code: 'EWHATEVER', expected: { code: 'io', message: 'Copying: EWHATEVER' } },
])('the fault $code of the system in words', ({ code, expected }) => {
  expect(stagingFault('Copying', Object.assign(new Error('x /secret/path'), { code }))).toMatchObject(expected);
});
