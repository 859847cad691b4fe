import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BlobContent, BlobFile, ImageStore } from '../src/store/store.ts';

/** A store to be tested, and how to look behind it. */
export interface StoreUnderTest {
  /** A store as a new process would open it: nothing is remembered from one to the next. */
  open(): Promise<ImageStore>;
  /** Everything that lies in it, finished or not: as many entries as things that take room. */
  residue(): Promise<readonly string[]>;
  /** The store of another installation in the same place. */
  openOther(): Promise<ImageStore>;
  /** Leaves what a put of an image leaves behind when its process dies. */
  leaveUnfinished(whose: 'ours' | 'others', imageId: string): Promise<void>;
  close(): Promise<void>;
}

/** How a kind of store is tested. */
export interface StoreTraits {
  readonly name: string;
  readonly make: () => Promise<StoreUnderTest>;
  /** Bytes of a content that is large for it: sent in several parts where it knows parts. */
  readonly largeBytes: number;
}

const ids = Array.from({ length: 40 }, (_, index) => `${String(index).padStart(8, '0')}-abcd-4111-8111-11111111111a`);

/** An image id that no other test uses. */
export function imageIds(): () => string {
  const free = [...ids];
  return () => free.shift() ?? '';
}

/** All bytes of a stream. */
export async function gather(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

/** The bytes as a stream of uneven chunks; `onChunk` is called before each. */
export async function* streamOf(
  bytes: Buffer,
  onChunk: (offset: number) => void | Promise<void> = () => {},
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length;) {
    await onChunk(offset);
    const length = Math.min(bytes.length - offset, 1 + ((offset * 7 + 6521) % 30_000));
    yield bytes.subarray(offset, offset + length);
    offset += length;
  }
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'it succeeded',
    (error: { readonly code?: unknown }) => error.code ?? error,
  );

/** Everything that a store in which something can be put must do. */
export function describeStore({ name, make, largeBytes }: StoreTraits): void {
  describe(`the store ${name}`, () => {
    let world: StoreUnderTest;
    let store: ImageStore;
    let dir: string;
    const nextId = imageIds();
    const small = Buffer.from('hello world');
    const large = Buffer.concat([
      randomBytes(largeBytes / 2),
      Buffer.alloc(largeBytes / 4),
      randomBytes(largeBytes / 4),
    ]);

    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), 'diskmorph-conformance-'));
      world = await make();
      store = await world.open();
    });
    afterAll(async () => {
      await world?.close();
      await rm(dir, { recursive: true, force: true });
    });

    async function fileOf(bytes: Buffer): Promise<BlobFile> {
      const path = join(dir, nextName());
      await writeFile(path, bytes);
      return { path, sizeBytes: bytes.length };
    }
    let names = 0;
    const nextName = (): string => `content-${names++}`;

    const contents: readonly { name: string; bytes: Buffer; content: (bytes: Buffer) => Promise<BlobContent> }[] = [
      { name: 'an empty file', bytes: Buffer.alloc(0), content: fileOf },
      { name: 'a small file', bytes: small, content: fileOf },
      { name: 'a large file', bytes: large, content: fileOf },
      { name: 'an empty stream', bytes: Buffer.alloc(0), content: async (bytes) => ({ bytes: streamOf(bytes) }) },
      {
        name: 'a stream of known size',
        bytes: large,
        content: async (bytes) => ({ bytes: streamOf(bytes), sizeBytes: bytes.length }),
      },
      { name: 'a large stream of unknown size', bytes: large, content: async (bytes) => ({ bytes: streamOf(bytes) }) },
    ];

    test('says that it is ready', () => expect(store.checkReady()).resolves.toBeUndefined());

    test.each(contents)('$name is stored and read back, then deleted, also twice', async ({ bytes, content }) => {
      const imageId = nextId();
      const reports: number[] = [];
      const options = { onBytes: (done: number) => void reports.push(done) };
      const stored = await store.put({ imageId, epoch: 7 }, await content(bytes), options);
      expect(stored.sizeBytes).toBe(bytes.length);
      expect(reports.at(-1) ?? 0).toBeLessThanOrEqual(bytes.length);
      expect(reports).toEqual(reports.toSorted((a, b) => a - b));
      const again = await world.open();
      expect(await again.stat(stored.location)).toEqual(stored);
      expect(digest(await gather(again.read(stored.location)))).toBe(digest(bytes));
      expect(await again.blobsOf(imageId)).toEqual([stored.location]);
      for (let times = 0; times < 2; times++) await again.delete(stored.location);
      expect(await again.blobsOf(imageId)).toEqual([]);
      expect(await world.residue()).toEqual([]);
      expect(await codeOf(again.stat(stored.location))).toBe('missing');
      expect(await codeOf(gather(again.read(stored.location)))).toBe('missing');
    });

    test('any range can be read; what lies beyond the end is not there', async () => {
      const { location } = await store.put({ imageId: nextId(), epoch: 1 }, await fileOf(large));
      const size = large.length;
      const ranges = [
        [0, 1],
        [1, 0],
        [size - 3, 3],
        [size - 3, 10],
        [size, 5],
        [size + 100, 1],
        [Math.floor(size / 2) - 77, 70_000],
        [0, size],
      ] as const;
      for (const [offset, length] of ranges) {
        const bytes = await gather(store.read(location, { offset, length }));
        expect([offset, length, digest(bytes)]).toEqual([
          offset,
          length,
          digest(large.subarray(offset, offset + length)),
        ]);
      }
      await store.delete(location);
    });

    test('a reader that loses interest stops the reading', async () => {
      const { location } = await store.put({ imageId: nextId(), epoch: 1 }, await fileOf(large));
      for (let times = 0; times < 20; times++) {
        for await (const chunk of store.read(location)) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
      }
      const stop = new AbortController();
      const reading = gather(
        (async function* () {
          for await (const chunk of store.read(location, undefined, stop.signal)) {
            yield chunk;
            stop.abort(new Error('enough'));
          }
        })(),
      );
      await expect(reading).rejects.toThrow('enough');
      await store.delete(location);
    });

    test('attempts do not overwrite each other; all of an image are found', async () => {
      const [imageId, other] = [nextId(), nextId()];
      const stored = [];
      for (const epoch of [1, 2]) {
        stored.push(await store.put({ imageId, epoch }, { bytes: streamOf(Buffer.from(`attempt ${epoch}`)) }));
      }
      const otherBlob = await store.put({ imageId: other, epoch: 1 }, { bytes: streamOf(small) });
      expect((await store.blobsOf(imageId)).toSorted()).toEqual(stored.map(({ location }) => location).toSorted());
      expect(new Set(stored.map(({ location }) => location)).size).toBe(2);
      expect((await gather(store.read(stored[0]?.location ?? ''))).toString()).toBe('attempt 1');
      for (const { location } of [...stored, otherBlob]) await store.delete(location);
      expect(await world.residue()).toEqual([]);
    });

    describe('a put that fails leaves nothing', () => {
      test.each([
        { name: 'fewer bytes than announced', sizeBytes: large.length + 1 },
        { name: 'more bytes than announced', sizeBytes: large.length - 1 },
        { name: 'hardly any of the announced bytes', sizeBytes: large.length * 1000 },
      ])('$name, from a stream', async ({ sizeBytes }) => {
        const imageId = nextId();
        const put = store.put({ imageId, epoch: 1 }, { bytes: streamOf(large), sizeBytes });
        expect(['io', 'full']).toContain(await codeOf(put));
        expect([await store.blobsOf(imageId), await world.residue()]).toEqual([[], []]);
      });

      test.each([1, -1])('a file that is not as long as was said (%i)', async (difference) => {
        const imageId = nextId();
        const content = await fileOf(large);
        const put = store.put({ imageId, epoch: 1 }, { ...content, sizeBytes: content.sizeBytes + difference });
        expect(await codeOf(put)).toBe('io');
        expect([await store.blobsOf(imageId), await world.residue()]).toEqual([[], []]);
      });

      test.each([0, 0.01, 0.5, 0.99])('the source breaks at %f of it', async (share) => {
        const imageId = nextId();
        const broken = streamOf(large, (offset) => {
          if (offset >= large.length * share) throw new Error('the source broke');
        });
        await expect(store.put({ imageId, epoch: 1 }, { bytes: broken })).rejects.toThrow('the source broke');
        expect([await store.blobsOf(imageId), await world.residue()]).toEqual([[], []]);
      });
    });

    describe('a put can be stopped', () => {
      test('before it begins', async () => {
        const put = store.put({ imageId: nextId(), epoch: 1 }, await fileOf(large), {
          signal: AbortSignal.abort(new Error('not at all')),
        });
        await expect(put).rejects.toThrow('not at all');
        expect(await world.residue()).toEqual([]);
      });

      test('while it waits for bytes that do not come', async () => {
        const stop = new AbortController();
        const never = Promise.withResolvers<void>();
        const stalled = streamOf(large, async (offset) => {
          if (offset < large.length / 2) return;
          stop.abort(new Error('stopped'));
          await never.promise;
        });
        const put = store.put({ imageId: nextId(), epoch: 1 }, { bytes: stalled }, { signal: stop.signal });
        await expect(put).rejects.toThrow('stopped');
        never.resolve();
        expect(await world.residue()).toEqual([]);
      });

      test('in the middle of a file: what is left goes with the image, or is taken up by the next attempt', async () => {
        for (const ending of ['discarded', 'taken up'] as const) {
          const imageId = nextId();
          const content = await fileOf(large);
          // Linked once already, so that a store of files copies it.
          const first = await store.put({ imageId, epoch: 1 }, content);
          const stop = new AbortController();
          const stopped = store.put({ imageId, epoch: 2 }, content, {
            signal: stop.signal,
            onBytes: () => stop.abort(new Error('stopped')),
          });
          await expect(stopped).rejects.toThrow('stopped');
          expect(await store.blobsOf(imageId)).toEqual([first.location]);
          const again = await world.open();
          if (ending === 'discarded') {
            for (let times = 0; times < 2; times++) await again.discardUnfinished(imageId);
          } else {
            const { location } = await again.put({ imageId, epoch: 3 }, content);
            expect(digest(await gather(again.read(location)))).toBe(digest(large));
            await again.delete(location);
          }
          await again.delete(first.location);
          expect([ending, await world.residue()]).toEqual([ending, []]);
        }
      });
    });

    test('what puts of this installation have left is cleared, but not of kept images, and nothing of others', async () => {
      const other = await world.openOther();
      const [imageId, kept, foreign] = [nextId(), nextId(), nextId()];
      for (const id of [imageId, kept]) await world.leaveUnfinished('ours', id);
      await world.leaveUnfinished('others', foreign);
      const before = await world.residue();
      expect(before).toHaveLength(3);
      await store.clearLeftovers({ images: [], since: 0 });
      expect(await world.residue()).toEqual(before);
      await store.clearLeftovers({ images: [kept] });
      expect(await world.residue()).toEqual(before.filter((name) => !name.includes(imageId)));
      await store.discardUnfinished(foreign);
      await store.clearLeftovers();
      expect(await world.residue()).toEqual(before.filter((name) => name.includes(foreign)));
      await other.clearLeftovers();
      expect(await world.residue()).toEqual([]);
    });

    const strange = [
      '',
      '.',
      '..',
      '../content',
      '/etc/passwd',
      ids[0] ?? '',
      `${ids[0]}.1/../../content`,
      `${ids[0]}.1\0`,
      `${ids[0]}.1?uploads`,
      `${ids[0]}.x`,
      `${(ids[0] ?? '').toUpperCase()}.1`,
      `a/b/${ids[0]}.1`,
      'http://127.0.0.1/',
    ];
    test.each(strange)('the location %j leads nowhere', async (location) => {
      expect(await codeOf((async () => store.stat(location))())).toBe('missing');
      expect(await codeOf((async () => store.delete(location))())).toBe('missing');
      expect(await codeOf((async () => gather(store.read(location)))())).toBe('missing');
    });

    test.each(['', '..', '../../x', 'a/b', `${ids[0]}/..`, `${ids[0]}.1`])(
      'the image id %j is refused',
      async (imageId) => {
        const refused = [
          async () => store.put({ imageId, epoch: 1 }, { bytes: streamOf(small) }),
          async () => store.blobsOf(imageId),
          async () => store.discardUnfinished(imageId),
        ];
        for (const work of refused) expect(await codeOf(work())).toBe('missing');
        expect(await world.residue()).toEqual([]);
      },
    );

    test('an address names the bytes, and means nothing for another image', async () => {
      const [imageId, other] = [nextId(), nextId()];
      const { location } = await store.put({ imageId, epoch: 1 }, { bytes: streamOf(small) });
      const address = await store.addressOf(location);
      expect(address).toMatch(/^(file|s3\+https?):\/\//);
      expect([undefined, location]).toContain(store.locationAt(address, imageId));
      expect(store.locationAt(address, other)).toBeUndefined();
      expect(store.locationAt('file:///etc/passwd', imageId)).toBeUndefined();
      expect(store.locationAt(`${address}/../../x`, imageId)).toBeUndefined();
      await store.delete(location);
    });

    test('the free space is a number or unknown', async () => {
      const free = await store.freeBytes();
      expect(free ?? 1).toBeGreaterThan(0);
    });
  });
}
