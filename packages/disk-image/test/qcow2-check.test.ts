import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/index.ts';
import type { CheckReport } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import type { GoldenRecipe } from './qcow2-golden.ts';
import { golden, GOLDENS, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openPeer } from './qcow2-peer.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

async function check(bytes: Uint8Array): Promise<CheckReport> {
  const report = await qcow2.check?.(memorySource(bytes));
  if (report === undefined) throw new Error('qcow2 can be checked');
  return report;
}

async function counts(bytes: Uint8Array): Promise<Record<string, number>> {
  const report = await check(bytes);
  return {
    corruptions: report.corruptions,
    leaks: report.leaks,
    allocated: report.allocatedUnits ?? 0,
    total: report.totalUnits ?? 0,
    compressed: report.compressedUnits ?? 0,
    fragmented: report.fragmentedUnits ?? 0,
    end: report.imageEndOffset ?? 0,
  };
}

async function peerCounts(bytes: Uint8Array): Promise<Record<string, number>> {
  await peer.write('checked.qcow2', bytes);
  const report = JSON.parse(await peer.img(['check', '--output=json', 'checked.qcow2'], [2, 3])) as Record<
    string,
    number
  >;
  return {
    corruptions: report['corruptions'] ?? 0,
    leaks: report['leaks'] ?? 0,
    allocated: report['allocated-clusters'] ?? 0,
    total: report['total-clusters'] ?? 0,
    compressed: report['compressed-clusters'] ?? 0,
    fragmented: report['fragmented-clusters'] ?? 0,
    end: report['image-end-offset'] ?? 0,
  };
}

describe('counts are those of qemu-img on clean images', () => {
  test.each(GOLDENS.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, recipe) => {
    const bytes = await makeGolden(peer, recipe);
    const ours = await counts(bytes);
    expect(ours).toEqual(await peerCounts(bytes));
    expect(ours).toMatchObject({ corruptions: 0, leaks: 0 });
  });
});

interface Tables {
  readonly view: DataView;
  readonly clusterSize: number;
  readonly l1: number;
  readonly l2: number;
  /** Offset of the first used L2 entry. */
  readonly entry: number;
  readonly refcounts: number;
}

function tablesOf(bytes: Uint8Array): Tables {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pointer = (at: number): number => Number(view.getBigUint64(at) & 0x00fffffffffffe00n);
  const l1 = pointer(40);
  const l2 = pointer(l1);
  let entry = l2;
  while (view.getBigUint64(entry) === 0n) entry += 8;
  return { view, clusterSize: 2 ** view.getUint32(20), l1, l2, entry, refcounts: pointer(pointer(48)) };
}

const COPIED = 1n << 63n;

const DAMAGES: readonly (readonly [string, (tables: Tables) => void])[] = [
  ['a refcount that is too high leaks', ({ view, refcounts }) => view.setUint16(refcounts + 8, 2)],
  ['the largest refcount leaks once', ({ view, refcounts }) => view.setUint16(refcounts + 10, 65535)],
  ['a refcount that is too low', ({ view, refcounts }) => view.setUint16(refcounts + 6, 0)],
  ['the header with refcount 0', ({ view, refcounts }) => view.setUint16(refcounts, 0)],
  ['an L1 entry without its copied flag', ({ view, l1 }) => view.setBigUint64(l1, view.getBigUint64(l1) ^ COPIED)],
  ['an L2 entry without its flag', ({ view, entry }) => view.setBigUint64(entry, view.getBigUint64(entry) ^ COPIED)],
  ['an L2 entry that was cleared', ({ view, entry }) => view.setBigUint64(entry, 0n)],
  ['an L1 entry that was cleared', ({ view, l1 }) => view.setBigUint64(l1, 0n)],
  ['an L2 entry that points at the L1 table', ({ view, entry, l1 }) => view.setBigUint64(entry, COPIED | BigInt(l1))],
  ['an L2 entry far beyond the file', ({ view, entry }) => view.setBigUint64(entry, COPIED | (1n << 50n))],
  ['an L1 entry far beyond the file', ({ view, l1 }) => view.setBigUint64(l1, COPIED | (1n << 50n))],
  [
    'an unaligned L2 entry',
    ({ view, entry, clusterSize }) => view.setBigUint64(entry, view.getBigUint64(entry) | BigInt(clusterSize / 2)),
  ],
  [
    'reserved bits in an L2 entry',
    ({ view, entry }) => view.setBigUint64(entry, view.getBigUint64(entry) | (1n << 57n)),
  ],
];

test('outdated bitmaps are leaked clusters, as for qemu-img', async () => {
  const bytes = await makeGolden(peer, golden('snapshots and a bitmap'));
  bytes[95] = 0;
  const ours = await counts(bytes);
  expect(ours).toEqual(await peerCounts(bytes));
  expect(ours['leaks']).toBeGreaterThan(0);
});

describe('counts are those of qemu-img on damaged images', () => {
  const recipes: readonly GoldenRecipe[] = ['version 3', 'version 2', 'snapshots and a bitmap'].map(golden);
  const cases = recipes.flatMap((recipe) =>
    DAMAGES.map(([name, damage]) => [recipe.name, name, recipe, damage] as const),
  );
  test.each(cases)('%s: %s', async (_recipeName, _name, recipe, damage) => {
    const bytes = await makeGolden(peer, recipe);
    damage(tablesOf(bytes));
    const ours = await counts(bytes);
    expect(ours).toEqual(await peerCounts(bytes));
    expect((ours['corruptions'] ?? 0) + (ours['leaks'] ?? 0)).toBeGreaterThan(0);
    // What several snapshots share is named once and counted for each.
    const { length } = (await check(bytes)).findings;
    expect(length).toBeGreaterThan(0);
    expect(length).toBeLessThanOrEqual((ours['corruptions'] ?? 0) + (ours['leaks'] ?? 0));
  });
});

test('a data cluster that the file cuts short is a corruption, though its refcount is right', async () => {
  const bytes = await makeGolden(peer, golden('version 3'));
  const { clusterSize, entry, view } = tablesOf(bytes);
  const offset = Number(view.getBigUint64(entry) & 0x00fffffffffffe00n);
  const last = bytes.length - clusterSize;
  view.setBigUint64(entry, COPIED | BigInt(last));
  expect(offset).not.toBe(0);
  const report = await check(bytes.subarray(0, bytes.length - 512));
  expect(report.findings.map((finding) => finding.code)).toContain('truncated');
});

test('an unknown feature cannot be checked', async () => {
  const bytes = await makeGolden(peer, golden('version 3'));
  bytes[72] = 0x80;
  await expect(check(bytes)).rejects.toMatchObject({ code: 'unsupported' });
});
