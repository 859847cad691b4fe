import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/index.ts';
import type { GuestWriter, WritableImageFile } from '../src/index.ts';
import { MAX_RECORDED_RUNS } from '../src/formats/qcow2/limits.ts';
import { readMetadata } from '../src/formats/qcow2/metadata.ts';
import { bitsOf, rangesOf, withInUse } from './qcow2-bitmap-bits.ts';
import { changeAndCut, context, editor, expectClean, guestOf } from './qcow2-edit-driver.ts';
import type { Peer } from './qcow2-peer.ts';
import { noise, openPeer } from './qcow2-peer.ts';
import { recordedFile } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const CLUSTER = 65536;
const SIZE = 4 * 2 ** 20;

/** A disk with data, a snapshot, two bitmaps that record (one has seen a write), one that does not. */
async function makeDisk(options: string): Promise<Uint8Array> {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', options, 'disk.qcow2', String(SIZE)]);
  await peer.io('disk.qcow2', ['write -P 1 0 1M']);
  await peer.img(['snapshot', '-c', 'kept', 'disk.qcow2']);
  await peer.img(['bitmap', '--add', '-g', '4k', 'disk.qcow2', 'fine']);
  await peer.img(['bitmap', '--add', '--disable', 'disk.qcow2', 'asleep']);
  await peer.io('disk.qcow2', ['write -P 2 512k 192k']);
  await peer.img(['bitmap', '--add', '-g', '1M', 'disk.qcow2', 'coarse']);
  return peer.read('disk.qcow2');
}

async function withWriter(file: WritableImageFile, use: (writer: GuestWriter) => Promise<void>): Promise<void> {
  const writer = await editor().openGuest?.(file, context);
  if (writer === undefined) throw new Error('qcow2 can be written');
  await use(writer);
  await writer.finish();
}

const CHANGES: readonly { readonly kind: 'write' | 'zero'; readonly offset: number; readonly length: number }[] = [
  { kind: 'write', offset: 2 * CLUSTER, length: 3 * CLUSTER },
  { kind: 'zero', offset: 40 * CLUSTER, length: 2 * CLUSTER },
  { kind: 'write', offset: SIZE - CLUSTER, length: CLUSTER },
  { kind: 'zero', offset: 9 * CLUSTER, length: CLUSTER },
  { kind: 'write', offset: 0, length: CLUSTER },
];

async function applyChanges(file: WritableImageFile): Promise<void> {
  await withWriter(file, async (writer) => {
    for (const { kind, offset, length } of CHANGES) {
      if (kind === 'zero') await writer.zero(offset, length);
      else await writer.write(offset, noise(length, 5));
    }
  });
}

async function flagsOf(bytes: Uint8Array): Promise<readonly (readonly [string, boolean, boolean])[]> {
  const { bitmaps } = await readMetadata(memorySource(bytes));
  return bitmaps.map(({ name, auto, inUse }) => [name, auto, inUse]);
}

describe('what is written sets the bits that the same writes by qemu-io set', () => {
  test.each(['compat=1.1', 'cluster_size=4k', 'extended_l2=on', 'cluster_size=512'])('%s', async (options) => {
    const file = await recordedFile(await makeDisk(options));
    await applyChanges(file);
    const commands = CHANGES.map(
      ({ kind, offset, length }) => `write ${kind === 'zero' ? '-z' : ''} ${offset} ${length}`,
    );
    await peer.io('disk.qcow2', commands);
    const theirs = await peer.read('disk.qcow2');
    for (const name of ['fine', 'asleep', 'coarse']) {
      expect(await bitsOf(file.bytes(), name), name).toEqual(await bitsOf(theirs, name));
    }
    expect(await flagsOf(file.bytes())).toEqual(await flagsOf(theirs));
    await expectClean(peer, file.bytes());
  });
});

describe('writes that are cut anywhere leave bitmaps that know of every change or say that they do not', () => {
  test.each(['compat=1.1', 'cluster_size=4k', 'extended_l2=on'])('%s', async (options) => {
    const start = await makeDisk(options);
    const before = await guestOf(start);
    const seen = { marked: 0, whole: 0 };
    await changeAndCut(peer, start, applyChanges, {
      effort: { samples: 30, peerSamples: 4 },
      allowed: async (bytes) => {
        const changed = differences(before, await guestOf(bytes));
        for (const [name, auto, inUse] of await flagsOf(bytes)) {
          if (!auto) continue;
          if (inUse) seen.marked++;
          else {
            seen.whole++;
            const ranges = await rangesOf(bytes, name);
            const unknown = changed.filter((at) => !ranges.some(([first, end]) => at >= first && at < end));
            expect({ name, unknown }).toEqual({ name, unknown: [] });
          }
        }
      },
    });
    expect(seen.marked).toBeGreaterThan(0);
    expect(seen.whole).toBeGreaterThan(0);
  });
});

const BLOCK = 512;

/** Offsets of the blocks that differ. */
function differences(one: Uint8Array, other: Uint8Array): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at < one.length; at += BLOCK) {
    if (Buffer.compare(one.subarray(at, at + BLOCK), other.subarray(at, at + BLOCK)) !== 0) found.push(at);
  }
  return found;
}

test('a writer that writes nothing changes nothing', async () => {
  const file = await recordedFile(await makeDisk('compat=1.1'));
  await withWriter(file, async () => {});
  expect(file.calls.filter((call) => call.kind !== 'flush')).toEqual([]);
});

test('a bitmap that was not saved correctly stays as it is; the others record', async () => {
  const file = await recordedFile(await withInUse(await makeDisk('compat=1.1'), 'fine'));
  const before = await bitsOf(file.bytes(), 'fine');
  await applyChanges(file);
  expect(await flagsOf(file.bytes())).toEqual([
    ['fine', true, true],
    ['asleep', false, false],
    ['coarse', true, false],
  ]);
  expect(await bitsOf(file.bytes(), 'fine')).toEqual(before);
  expect((await rangesOf(file.bytes(), 'coarse')).length).toBeGreaterThan(0);
});

test('more ranges than are remembered', async () => {
  const count = MAX_RECORDED_RUNS + 10;
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'many.qcow2', String(count * 1024)]);
  await peer.img(['bitmap', '--add', '-g', '512', 'many.qcow2', 'all']);
  const file = await recordedFile(await peer.read('many.qcow2'));
  const bytes = new Uint8Array(512).fill(1);
  await withWriter(file, async (writer) => {
    // Backwards first, so that runs do not come in order.
    for (let at = count / 2 - 1; at >= 0; at--) await writer.write(at * 1024, bytes);
    for (let at = count / 2; at < count; at++) await writer.write(at * 1024, bytes);
  });
  const ranges = await rangesOf(file.bytes(), 'all');
  expect(ranges.length).toBe(count);
  expect(ranges.every(([start, end], index) => start === index * 1024 && end === start + 512)).toBe(true);
  await expectClean(peer, file.bytes());
});

test('emptying a layer leaves its bitmaps as they are, as qemu-img commit does', async () => {
  const file = await recordedFile(await makeDisk('compat=1.1'));
  const before = await bitsOf(file.bytes(), 'fine');
  await editor().empty?.(file);
  expect(await bitsOf(file.bytes(), 'fine')).toEqual(before);
  await expectClean(peer, file.bytes());
});
