import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CopyFile } from './file-incoming.ts';
import { fileStore } from './file-store.ts';
import type { ImageStore } from './store.ts';

const IMAGE = '11111111-1111-4111-8111-111111111111';
const OTHER = '22222222-2222-4222-8222-222222222222';
const INSTANCE = '33333333-3333-4333-8333-333333333333';

let dir: string;
let content: { path: string; sizeBytes: number };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-store-'));
  await mkdir(join(dir, 'store'));
  content = { path: join(dir, 'content'), sizeBytes: 11 };
  await writeFile(content.path, 'hello world');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const copy: CopyFile = async ({ from, to }) => {
  await copyFile(from, to);
  return { sizeBytes: (await stat(to)).size };
};

function storeOf(copying: CopyFile = copy): ImageStore {
  return fileStore({
    id: 's',
    directories: [{ path: join(dir, 'store'), weight: 0 }],
    instanceId: INSTANCE,
    copy: copying,
  });
}

/** The inode of a file in the store. */
const inode = async (name: string): Promise<number> => (await stat(join(dir, 'store', name))).ino;
const files = (): Promise<string[]> => readdir(join(dir, 'store'));

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('what is put can be read, whole and in ranges, and deleted, also twice', async () => {
  const store = storeOf();
  const { location, sizeBytes } = await store.put({ imageId: IMAGE, epoch: 3 }, content);
  expect([location, sizeBytes, await files()]).toEqual([`${IMAGE}.3`, 11, [`${IMAGE}.3`]]);
  expect(await textOf(store.read(location))).toBe('hello world');
  expect(await textOf(store.read(location, { offset: 6, length: 3 }))).toBe('wor');
  expect(await textOf(store.read(location, { offset: 6, length: 0 }))).toBe('');
  await store.delete(location);
  await store.delete(location);
  expect(await files()).toEqual([]);
  await expect(textOf(store.read(location))).rejects.toMatchObject({ code: 'missing' });
});

test('the source stays after it was linked, and a second store gets bytes of its own', async () => {
  const store = storeOf();
  const first = await store.put({ imageId: IMAGE, epoch: 1 }, content);
  const second = await store.put({ imageId: OTHER, epoch: 1 }, content);
  expect(await inode(first.location)).toBe((await stat(content.path)).ino);
  expect(await inode(second.location)).not.toBe(await inode(first.location));
  expect(await readFile(content.path, 'utf8')).toBe('hello world');
});

test('attempts do not overwrite each other; all of an image are found', async () => {
  const store = storeOf();
  for (const epoch of [1, 2]) await store.put({ imageId: IMAGE, epoch }, content);
  await store.put({ imageId: OTHER, epoch: 1 }, content);
  expect([...(await store.blobsOf(IMAGE))].sort()).toEqual([`${IMAGE}.1`, `${IMAGE}.2`]);
});

/** After this the content has a link already, so that it is copied, not linked. */
async function linkedContent(): Promise<void> {
  await storeOf().put({ imageId: OTHER, epoch: 1 }, content);
}

describe('a put that fails leaves nothing and says why without a path', () => {
  test.each([
    {
      name: 'full disk',
      fault: 'ENOSPC',
      code: 'full',
      message: 'Store "s": the image could not be stored: the disk is full',
    },
    { name: 'input/output error', fault: 'EIO', code: 'io', message: 'Store "s": the image could not be stored (EIO)' },
  ])('$name', async ({ fault, code, message }) => {
    await linkedContent();
    const store = storeOf(async ({ to }) => {
      await writeFile(to, 'hel');
      throw Object.assign(new Error(`${fault}: ${to}`), { code: fault });
    });
    await expect(store.put({ imageId: IMAGE, epoch: 1 }, content)).rejects.toMatchObject({ code, message });
    expect(await files()).toEqual([`${OTHER}.1`]);
  });

  test('fewer bytes than announced', async () => {
    const store = storeOf();
    await expect(store.put({ imageId: IMAGE, epoch: 1 }, { ...content, sizeBytes: 12 })).rejects.toMatchObject({
      code: 'io',
    });
    expect(await files()).toEqual([]);
  });

  test('the directory is gone', async () => {
    await rm(join(dir, 'store'), { recursive: true });
    await expect(storeOf().put({ imageId: IMAGE, epoch: 1 }, content)).rejects.toMatchObject({ code: 'io' });
  });
});

test('leftovers of this installation are cleared, those of others stay', async () => {
  const store = storeOf();
  const mine = `.${INSTANCE}.${IMAGE}.1`;
  const theirs = `.${OTHER}.${IMAGE}.1`;
  for (const name of [mine, theirs, 'readme']) await writeFile(join(dir, 'store', name), 'x');
  await store.clearLeftovers();
  expect((await files()).sort()).toEqual([theirs, 'readme'].sort());
});

test('with them goes what processes that are no more were promised, in each directory', async () => {
  const forgotten: string[] = [];
  const paths = ['store', 'second'].map((name) => join(dir, name));
  await mkdir(join(dir, 'second'));
  const store = fileStore({
    id: 's',
    directories: paths.map((path) => ({ path, weight: 0 })),
    instanceId: INSTANCE,
    copy,
    room: (path) => ({
      reserve: async () => {},
      release: async () => {},
      forgetGone: async () => void forgotten.push(path),
    }),
  });
  await store.clearLeftovers();
  expect(forgotten).toEqual(paths);
});

test.each(['../content', `${IMAGE}`, `${IMAGE}.1/../../content`, ''])(
  'the location %j leads nowhere',
  async (location) => {
    const store = storeOf();
    await expect(store.delete(location)).rejects.toMatchObject({ code: 'missing' });
    expect(() => store.read(location)).toThrow(/is no place in this store/);
    expect(await readFile(content.path, 'utf8')).toBe('hello world');
  },
);

test('a store whose directory is gone says so without a path', async () => {
  const store = storeOf();
  await expect(store.checkReady()).resolves.toBeUndefined();
  await rm(join(dir, 'store'), { recursive: true });
  const error: unknown = await store.checkReady().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'io', message: expect.not.stringContaining(dir) });
});
