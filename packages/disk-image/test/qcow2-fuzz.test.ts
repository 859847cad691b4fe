import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageError, memorySource } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import type { GoldenRecipe } from './qcow2-golden.ts';
import { makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { openBytes, openPeer, readAll } from './qcow2-peer.ts';

const SIZE = 192 * 1024;
const WRITES = ['write -P 5 10k 9k', 'write -P 7 100k 3k', 'write -z 50k 10k', 'write -P 9 190k 2k'];
const SEEDS: readonly GoldenRecipe[] = [
  { name: 'small', options: 'cluster_size=512', sizeBytes: SIZE, commands: WRITES },
  { name: 'refcounts of one bit', options: 'cluster_size=4k,refcount_bits=1', sizeBytes: SIZE, commands: WRITES },
  { name: 'extended L2', options: 'cluster_size=16k,extended_l2=on', sizeBytes: SIZE, commands: WRITES },
  { name: 'zlib', options: 'cluster_size=4k', sizeBytes: SIZE, commands: ['write -c -P 5 0 8k', 'write -P 5 8k 1k'] },
  {
    name: 'zstd',
    options: 'cluster_size=4k,compression_type=zstd',
    sizeBytes: SIZE,
    commands: ['write -c -P 5 0 8k', 'write -P 5 8k 1k'],
  },
  {
    name: 'snapshot and bitmap',
    options: 'cluster_size=1k',
    sizeBytes: SIZE,
    commands: WRITES,
    afterwards: [
      ['snapshot', '-c', 'one', 'disk.qcow2'],
      ['bitmap', '--add', 'disk.qcow2', 'dirty0'],
    ],
  },
];

let peer: Peer;
const seeds: Uint8Array<ArrayBuffer>[] = [];
beforeAll(async () => {
  peer = await openPeer();
  for (const recipe of SEEDS) seeds.push(await makeGolden(peer, recipe));
});
afterAll(() => peer.close());

type Edit =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'truncate'; readonly at: number }
  | { readonly kind: 'header'; readonly field: number; readonly value: bigint }
  | { readonly kind: 'entry'; readonly table: number; readonly index: number; readonly value: bigint };

/** Byte offset and width of each header field. */
const FIELDS: readonly (readonly [number, number])[] = [
  [4, 4],
  [8, 8],
  [16, 4],
  [20, 4],
  [24, 8],
  [32, 4],
  [36, 4],
  [40, 8],
  [48, 8],
  [56, 4],
  [60, 4],
  [64, 8],
  [72, 8],
  [80, 8],
  [88, 8],
  [96, 4],
  [100, 4],
  [104, 1],
  [112, 4],
  [116, 4],
];

const interesting = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 7n, 511n, 512n, 513n, 0xffffn, 0xffffffffn, 1n << 31n, 1n << 52n, 1n << 55n, 1n << 62n),
  fc.constantFrom((1n << 63n) - 1n, (1n << 64n) - 1n, (1n << 63n) | 512n, (1n << 62n) | 4096n),
  fc.bigInt({ min: 0n, max: 400n }).map((n) => n * 512n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('truncate' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('header' as const), field: fc.nat(FIELDS.length - 1), value: interesting }),
  fc.record({ kind: fc.constant('entry' as const), table: fc.nat(), index: fc.nat(80), value: interesting }),
);

function applyEdit(bytes: Uint8Array, change: Edit): Uint8Array {
  if (bytes.length === 0) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (change.kind === 'truncate') return bytes.subarray(0, change.at % bytes.length);
  if (change.kind === 'flip') {
    const at = change.at % bytes.length;
    bytes[at] = (bytes[at] ?? 0) ^ (1 << change.bit);
    return bytes;
  }
  if (change.kind === 'entry') {
    const at = (change.table * 512 + change.index * 8) % bytes.length;
    if (at + 8 <= bytes.length) view.setBigUint64(at, change.value);
    return bytes;
  }
  const [at, width] = FIELDS[change.field] ?? [0, 1];
  if (at + width > bytes.length) return bytes;
  if (width === 8) view.setBigUint64(at, change.value);
  else if (width === 4) view.setUint32(at, Number(change.value & 0xffffffffn));
  else view.setUint8(at, Number(change.value & 0xffn));
  return bytes;
}

/** Runs everything that reads an image; the codes of the errors that come out. Anything but an ImageError is thrown on. */
async function exercise(bytes: Uint8Array): Promise<string[]> {
  const codes: string[] = [];
  const attempt = async (act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      codes.push(error.code);
    }
  };
  await attempt(async () => qcow2.examine(memorySource(bytes)));
  await attempt(async () => qcow2.check?.(memorySource(bytes)));
  for (const snapshot of [undefined, '1']) {
    await attempt(async () => {
      const image = await openBytes(bytes, snapshot === undefined ? {} : { snapshot });
      const buffer = new Uint8Array(Math.min(image.virtualSize, 2 ** 20));
      await attempt(() => image.read(0, buffer));
      await attempt(() => image.read(image.virtualSize - Math.min(buffer.length, 65536), buffer.subarray(0, 65536)));
      for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
        if (extent.length <= 0) throw new Error('an extent is empty');
      }
    });
  }
  return codes;
}

const KNOWN = ['wrong_format', 'unsupported', 'corrupt', 'truncated', 'unsafe', 'out_of_bounds'];

describe('damaged images give ImageErrors and nothing else', () => {
  test('edits of fields, entries and bits', async () => {
    const damaged = fc.record({
      seed: fc.nat(SEEDS.length - 1),
      edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(damaged, async ({ seed, edits }) => {
        let bytes: Uint8Array = (seeds[seed] ?? new Uint8Array()).slice();
        for (const change of edits) bytes = applyEdit(bytes, change);
        for (const code of await exercise(bytes)) expect(KNOWN).toContain(code);
      }),
      { numRuns: 1500 },
    );
  }, 300_000);

  test('every header field with every interesting value', async () => {
    const values = [0n, 1n, 8n, 9n, 21n, 22n, 512n, 1n << 20n, 0x7fffffffn, 0xffffffffn, 1n << 53n, (1n << 64n) - 1n];
    for (const seed of seeds) {
      for (let field = 0; field < FIELDS.length; field++) {
        for (const value of values) {
          const codes = await exercise(applyEdit(seed.slice(), { kind: 'header', field, value }));
          expect(codes.every((code) => KNOWN.includes(code))).toBe(true);
        }
      }
    }
  }, 300_000);
});

interface Operation {
  readonly kind: 'write' | 'zero' | 'discard' | 'compressed';
  readonly at: number;
  readonly sectors: number;
  readonly pattern: number;
}

const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom('write' as const, 'write' as const, 'zero' as const, 'discard' as const, 'compressed' as const),
  at: fc.nat(SIZE / 512 - 1),
  sectors: fc.integer({ min: 1, max: 120 }),
  pattern: fc.integer({ min: 1, max: 255 }),
});

/** The disk as it should read, and the clusters that were written: qemu-io compresses only into fresh ones. */
interface Model {
  readonly guest: Uint8Array;
  readonly clusterSize: number;
  readonly written: Set<number>;
}

/** The bytes that a step changes. */
function rangeOf(step: Operation, clusterSize: number): { readonly start: number; readonly end: number } {
  const start = step.at * 512;
  const end = Math.min(start + step.sectors * 512, SIZE);
  if (step.kind === 'compressed') {
    const clusterStart = start - (start % clusterSize);
    return { start: clusterStart, end: Math.min(clusterStart + clusterSize, SIZE) };
  }
  if (step.kind !== 'discard') return { start, end };
  // What a discarded part of a cluster reads as is the program's choice, so only whole clusters are discarded.
  return {
    start: Math.ceil(start / clusterSize) * clusterSize,
    end: Math.floor(end / clusterSize) * clusterSize,
  };
}

/** The qemu-io command, after doing the same to the model; undefined when there is nothing to do. */
function commandOf(step: Operation, model: Model): string | undefined {
  const { start, end } = rangeOf(step, model.clusterSize);
  if (end <= start) return undefined;
  const first = Math.floor(start / model.clusterSize);
  const wasWritten = model.written.has(first);
  for (let cluster = first; cluster * model.clusterSize < end; cluster++) model.written.add(cluster);
  const hasPattern = step.kind === 'write' || step.kind === 'compressed';
  model.guest.fill(hasPattern ? step.pattern : 0, start, end);
  if (step.kind === 'discard') return `discard ${start} ${end - start}`;
  if (step.kind === 'zero') return `write -z ${start} ${end - start}`;
  const isCompressed = step.kind === 'compressed' && !wasWritten;
  return `write ${isCompressed ? '-c ' : ''}-P ${step.pattern} ${start} ${end - start}`;
}

/**
 * qemu-io 7.2 marks its own image as corrupt when it packs a compressed cluster after the host cluster of another one
 * was freed and used again, so compressed writes come before all others.
 */
function compressedFirst(steps: readonly Operation[]): Operation[] {
  const isCompressed = (step: Operation): boolean => step.kind === 'compressed';
  return [...steps.filter(isCompressed), ...steps.filter((step) => !isCompressed(step))];
}

test('random writes of qemu-io read as the same writes to a byte array', async () => {
  const options = [
    ['cluster_size=512', 512],
    ['cluster_size=4k,compression_type=zstd', 4096],
    ['cluster_size=16k,extended_l2=on', 16384],
    ['cluster_size=64k', 65536],
  ] as const;
  const scenario = fc.record({
    choice: fc.nat(options.length - 1),
    steps: fc.array(operation, { minLength: 1, maxLength: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ choice, steps }) => {
      const [option, clusterSize] = options[choice] ?? options[0];
      const model = { guest: new Uint8Array(SIZE), clusterSize, written: new Set<number>() };
      const commands = compressedFirst(steps)
        .map((step) => commandOf(step, model))
        .filter((one) => one !== undefined);
      const recipe = { name: 'random', options: option, sizeBytes: SIZE, commands };
      const bytes = await makeGolden(peer, recipe);
      expect(Buffer.compare(await readAll(await openBytes(bytes), 5003), model.guest)).toBe(0);
    }),
    { numRuns: 40 },
  );
}, 300_000);
