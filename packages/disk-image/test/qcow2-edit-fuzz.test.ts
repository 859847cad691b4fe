import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ImageError, memorySource } from '../src/index.ts';
import type { WritableImageFile } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { readMetadata } from '../src/formats/qcow2/metadata.ts';
import { context, editor } from './qcow2-edit-driver.ts';
import { golden, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';
import { recordedFile } from './write-recorder.ts';

let peer: Peer;
const images: Uint8Array[] = [];
beforeAll(async () => {
  peer = await openPeer();
  for (const name of ['512 byte clusters', 'snapshots and a bitmap', 'extended L2, 16 KiB', 'zlib, version 2']) {
    images.push(await makeGolden(peer, golden(name)));
  }
});
afterAll(() => peer.close());

const SIZE = 2 ** 22;
const CHANGES: readonly ((file: WritableImageFile) => Promise<unknown> | undefined)[] = [
  (file) => editor().resize?.(file, { virtualSize: SIZE, shrink: 'allow', preallocation: 'off' }),
  (file) => editor().snapshots?.create(file, { name: 'x', dateSeconds: 0, dateNanoseconds: 0 }),
  (file) => editor().snapshots?.delete(file, '1'),
  (file) => editor().snapshots?.apply(file, '1'),
  (file) => editor().empty?.(file),
  (file) => editor().repair?.(file, 'all'),
  (file) => editor().repair?.(file, 'leaks'),
  (file) => editor().amend?.(file, { refcount_bits: '32' }),
  (file) => editor().bitmaps?.clear(file, 'dirty0'),
  (file) => editor().changeBacking?.(file, { kind: 'backing', name: 'b', format: 'raw' }),
  async (file) => {
    const writer = await editor().openGuest?.(file, context);
    await writer?.write(0, new Uint8Array(writer.unitSize).fill(1));
    await writer?.finish();
  },
];
/** A damaged image as the origin of bitmaps. */
const COPIES: readonly ((file: WritableImageFile, damaged: Uint8Array) => Promise<unknown> | undefined)[] = [
  (file, damaged) => editor().bitmaps?.copy(file, memorySource(damaged), ['dirty0']),
  async (file, damaged) => {
    await editor().bitmaps?.add(file, { name: 'own', granularity: 512, state: 'enabled' });
    await editor().bitmaps?.merge(file, 'own', { name: 'dirty0', source: memorySource(damaged) });
  },
];

/** A repair mends what it can; what it cannot was wrong before. */
const REPAIRS = new Set([5, 6]);

/** Mostly the header, else the tables and the rest. */
const damage = fc.array(
  fc.record({
    at: fc.oneof({ weight: 3, arbitrary: fc.nat(600) }, { weight: 2, arbitrary: fc.nat(2 ** 19) }),
    value: fc.oneof(fc.constantFrom(0, 1, 0x80, 0xff), fc.nat(255)),
  }),
  { minLength: 1, maxLength: 6 },
);

test('a damaged image is refused with an ImageError, or the change leaves no corruption', async () => {
  const cases = fc.record({ image: fc.nat(3), change: fc.nat(CHANGES.length - 1), damage });
  await fc.assert(
    fc.asyncProperty(cases, async ({ image, change, damage: bytes }) => {
      const start = images[image]?.slice() ?? new Uint8Array();
      for (const { at, value } of bytes) if (at < start.length) start[at] = value;
      const file = await recordedFile(start);
      try {
        await CHANGES[change]?.(file);
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError);
        return;
      }
      if (REPAIRS.has(change)) return;
      const report = await qcow2.check?.(memorySource(file.bytes()));
      expect(report?.corruptions).toBe(0);
    }),
    { numRuns: 1500 },
  );
});

/** An image whose bitmap has bits, and where its directory and its table begin. */
async function withBits(): Promise<{
  readonly bytes: Uint8Array;
  readonly places: readonly number[];
  readonly size: number;
}> {
  await makeGolden(peer, golden('snapshots and a bitmap'));
  await peer.io('disk.qcow2', ['write -P 9 64k 200k', 'write -P 9 3M 4k']);
  const bytes = await peer.read('disk.qcow2');
  const { bitmaps, extensions, header } = await readMetadata(memorySource(bytes));
  const places = [extensions.bitmaps?.directoryOffset ?? 0, bitmaps[0]?.tableOffset ?? 0];
  return { bytes, places, size: header.virtualSize };
}

test('bitmaps of a damaged image are refused with an ImageError, or what takes them stays whole', async () => {
  const { bytes, places, size } = await withBits();
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'into.qcow2', `${size}`]);
  const into = await peer.read('into.qcow2');
  const near = fc.record({ place: fc.constantFrom(...places), by: fc.nat(40), value: fc.nat(255) });
  const inBitmaps = near.map(({ place, by, value }) => ({ at: place + by, value }));
  const cases = fc.record({
    copy: fc.nat(COPIES.length - 1),
    damage: fc.oneof(damage, fc.array(inBitmaps, { minLength: 1, maxLength: 3 })),
  });
  const seen = { taken: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(cases, async ({ copy, damage: changes }) => {
      const damaged = bytes.slice();
      for (const { at, value } of changes) if (at < damaged.length) damaged[at] = value;
      const file = await recordedFile(into);
      try {
        await COPIES[copy]?.(file, damaged);
        seen.taken++;
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError);
        seen.refused++;
      }
      const report = await qcow2.check?.(memorySource(file.bytes()));
      expect({ corruptions: report?.corruptions, leaks: report?.leaks }).toEqual({ corruptions: 0, leaks: 0 });
    }),
    { numRuns: 600 },
  );
  expect(seen.taken).toBeGreaterThan(0);
  expect(seen.refused).toBeGreaterThan(0);
});
