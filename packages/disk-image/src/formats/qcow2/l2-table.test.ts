import { expect, test } from 'vitest';
import { memorySource } from '../../bytes/byte-source.ts';
import type { ClusterGeometry } from './cluster-geometry.ts';
import { l2Tables } from './l2-table.ts';
import { L2_CACHE_SIZE } from './limits.ts';

const CLUSTER_SIZE = 2 ** 16;
const GEOMETRY: ClusterGeometry = {
  version: 3,
  clusterBits: 16,
  clusterSize: CLUSTER_SIZE,
  extendedL2: false,
  unitSize: CLUSTER_SIZE,
  unitsPerCluster: 1,
  entryWords: 2,
  l2Entries: CLUSTER_SIZE / 8,
  l2Coverage: (CLUSTER_SIZE / 8) * CLUSTER_SIZE,
  externalData: false,
  compression: 'deflate',
};
const KEPT = L2_CACHE_SIZE / CLUSTER_SIZE;
/** Some more than are kept in memory. */
const COUNT = KEPT + 6;

/** Tables behind each other, in each word of which stands its number and one; the last L1 entry has none. */
function tablesOfNumbers(): ReturnType<typeof l2Tables> {
  const file = new Uint8Array(CLUSTER_SIZE * (COUNT + 1));
  const view = new DataView(file.buffer);
  const l1 = new Uint32Array((COUNT + 1) * 2);
  for (let index = 0; index < COUNT; index++) {
    const hostOffset = CLUSTER_SIZE * (index + 1);
    l1[index * 2 + 1] = hostOffset;
    for (let at = 0; at < CLUSTER_SIZE; at += 4) view.setUint32(hostOffset + at, index + 1);
  }
  return l2Tables(memorySource(file), { words: l1, hostOffset: 0 }, GEOMETRY);
}

const isTable = (words: Uint32Array, index: number): boolean =>
  words.length === CLUSTER_SIZE / 4 && words.every((word) => word === index + 1);

test('a walk sees every table, those without room in memory in one place', async () => {
  const walk = tablesOfNumbers().walk();
  const places = new Set<ArrayBufferLike>();
  for (let index = 0; index < COUNT; index++) {
    const { words, guestOffset } = await walk(index);
    expect([isTable(words, index), guestOffset]).toEqual([true, index * GEOMETRY.l2Coverage]);
    places.add(words.buffer);
  }
  expect(places.size).toBe(KEPT + 1);
  expect((await walk(COUNT)).words.length).toBe(0);
});

test('walks and loads beside each other do not change what the other holds', async () => {
  const tables = tablesOfNumbers();
  const [first, second] = [tables.walk(), tables.walk()];
  for (let index = 0; index < COUNT; index++) await first(index);
  const [seen, other] = [await first(COUNT - 1), await second(COUNT - 2)];
  const loaded = await tables.load(COUNT - 3);
  await second(COUNT - 4);
  expect(isTable(seen.words, COUNT - 1)).toBe(true);
  expect(isTable(loaded.words, COUNT - 3)).toBe(true);
  expect(isTable(other.words, COUNT - 4)).toBe(true);
  expect(tables.cached(COUNT - 1)).toBeUndefined();
  expect(tables.cached(COUNT - 3)).toBe(loaded);
});
