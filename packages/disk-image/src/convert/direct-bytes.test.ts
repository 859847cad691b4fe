import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ByteSource, DiskImage, MemorySink } from '../index.ts';
import {
  convert,
  denyReferences,
  encoderOf,
  findFormat,
  ImageError,
  inlineLanes,
  memoryRunSpool,
  memorySink,
  memorySource,
  planConversion,
  portableCodecs as codecs,
  unseenPlan,
} from '../index.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const DISK_SIZE = 5 * MiB + 512;

function guest(): Uint8Array {
  const bytes = new Uint8Array(DISK_SIZE);
  bytes.fill(1, 100 * KiB, 3 * MiB + 7);
  bytes.fill(2, 4 * MiB);
  return bytes;
}

/** A source that can be sampled, as files can. */
function sampledSource(bytes: Uint8Array, onSamples: (offset: number) => void = () => {}): ByteSource {
  return {
    ...memorySource(bytes),
    readSamples({ offset, stride, length }, into) {
      onSamples(offset);
      for (let done = 0; done < into.length; done += length) {
        const from = offset + (done / length) * stride;
        into.set(bytes.subarray(from, from + length), done);
      }
    },
  };
}

/** How far a sink goes when it is to copy or to share `length` bytes. */
interface Reach {
  readonly copy: (length: number) => number;
  readonly reflink?: (length: number) => number;
}

/** A sink that takes bytes of `source` by other ways than writing; what it took, as offset and length in the source. */
interface DirectSink extends MemorySink {
  readonly copied: [number, number][];
  readonly shared: [number, number][];
  readonly written: () => number;
}

function directSink(source: Uint8Array, { copy, reflink }: Reach): DirectSink {
  const sink = memorySink();
  const copied: [number, number][] = [];
  const shared: [number, number][] = [];
  let written = 0;
  const taking =
    (taken: [number, number][], reach: (length: number) => number): NonNullable<MemorySink['copyFrom']> =>
    (_source, { offset, length }, to) => {
      const done = reach(length);
      void sink.write(to, source.subarray(offset, offset + done));
      taken.push([offset, done]);
      return done;
    };
  return {
    ...sink,
    write(offset, bytes) {
      written += bytes.length;
      return sink.write(offset, bytes);
    },
    written: () => written,
    copied,
    shared,
    copyFrom: taking(copied, copy),
    ...(reflink === undefined ? {} : { reflinkFrom: taking(shared, reflink) }),
  };
}

function format(name: string): NonNullable<ReturnType<typeof findFormat>> {
  const found = findFormat(name);
  if (found === undefined) throw new Error(`there is ${name}`);
  return found;
}

async function openRaw(source: ByteSource): Promise<DiskImage> {
  const image = await format('raw').open?.(source, { codecs, references: denyReferences });
  if (image === undefined) throw new Error('raw images can be read');
  return image;
}

/** Without a digest nobody need see the bytes. */
async function convertTo(
  name: string,
  { source, sink, ...choices }: { source: DiskImage; sink: MemorySink; digest?: boolean; reflink?: boolean },
): Promise<void> {
  const { digest = false, reflink = false } = choices;
  const target = format(name);
  const request = { source, targets: [{ format: target, options: {}, fileName: 'disk' }], shared: false };
  const planned = await planConversion(request);
  const encoders = planned.plan.targets.map(({ layout }) => encoderOf(target, layout, codecs));
  const { plan, map } = digest ? planned : unseenPlan(planned, source, { encoders, shared: false });
  expect(plan.unseen).toBe(digest ? undefined : true);
  const lanes = inlineLanes({ source, codecs, targets: [{ sinks: [sink], encoder: encoders[0] }] });
  const targets = [{ format: target, sinks: [sink], spool: memoryRunSpool() }];
  await convert(plan, { codecs, map, lanes, targets, shared: false, digest, reflink, now: () => 0 });
}

async function guestOf(name: string, sink: MemorySink): Promise<Buffer> {
  const image = await format(name).open?.(memorySource(sink.bytes()), { codecs, references: denyReferences });
  const read = Buffer.alloc(DISK_SIZE);
  await image?.read(0, read);
  return read;
}

const shares: fc.Arbitrary<() => number> = fc
  .infiniteStream(fc.double({ min: 0, max: 1, noNaN: true }))
  .map((stream) => () => Number(stream.next().value ?? 1));

test.each(['raw', 'qcow2', 'vhdx', 'vdi'])('what a %s target cannot copy is read and written', async (name) => {
  const bytes = guest();
  await fc.assert(
    fc.asyncProperty(shares, async (share) => {
      const sink = directSink(bytes, { copy: (length) => Math.floor(length * share()) });
      await convertTo(name, { source: await openRaw(sampledSource(bytes)), sink });
      expect((await guestOf(name, sink)).equals(bytes)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('every unit with data is copied, the last and incomplete one is read', async () => {
  const bytes = guest();
  const sink = directSink(bytes, { copy: (length) => length });
  await convertTo('raw', { source: await openRaw(sampledSource(bytes)), sink });
  // The unit at 64 KiB begins with zeros, those from 3 MiB + 64 KiB to 4 MiB hold nothing else.
  expect(sink.copied).toEqual([
    [128 * KiB, 2 * MiB - 128 * KiB],
    [2 * MiB, MiB + 64 * KiB],
    [4 * MiB, MiB],
  ]);
});

test('a source that ends too early is an error, not a shorter copy', async () => {
  const bytes = guest();
  const source = sampledSource(bytes);
  const shortened: ByteSource = {
    ...source,
    async read(offset, into) {
      if (offset + into.length > 2 * MiB) throw new ImageError('truncated', 'the file ends here');
      await source.read(offset, into);
    },
  };
  const sink = directSink(bytes, { copy: () => 0 });
  const converting = convertTo('raw', { source: await openRaw(shortened), sink });
  await expect(converting).rejects.toMatchObject({ code: 'truncated' });
});

const all = (length: number): number => length;
const none = (): number => 0;

describe('blocks on disk', () => {
  test.each(['raw', 'qcow2', 'vhdx', 'vdi'])('that a %s target cannot share are copied or written', async (name) => {
    const bytes = guest();
    await fc.assert(
      fc.asyncProperty(shares, fc.boolean(), async (share, digest) => {
        const part = (length: number): number => Math.floor(length * Math.round(share() * 4) * 0.25);
        const sink = directSink(bytes, { copy: part, reflink: part });
        await convertTo(name, { source: await openRaw(sampledSource(bytes)), sink, digest, reflink: true });
        expect((await guestOf(name, sink)).equals(bytes)).toBe(true);
        expect(sink.shared.length).toBeGreaterThan(0);
      }),
      { numRuns: 20 },
    );
  });

  test('are shared by a target whose bytes are digested too: only zeros are left out, and small pieces written', async () => {
    const bytes = guest();
    bytes.fill(0, 2 * MiB + 8 * KiB, 2 * MiB + 12 * KiB);
    const sink = directSink(bytes, { copy: none, reflink: all });
    await convertTo('raw', { source: await openRaw(sampledSource(bytes)), sink, digest: true, reflink: true });
    expect((await guestOf('raw', sink)).equals(bytes)).toBe(true);
    expect(sink.copied).toEqual([]);
    const isShared = (at: number): boolean =>
      sink.shared.some(([offset, length]) => at >= offset && at < offset + length);
    expect([128 * KiB, 2 * MiB, 2 * MiB + 9 * KiB, 2 * MiB + 12 * KiB].map(isShared)).toEqual([
      true,
      false,
      false,
      true,
    ]);
    // 8 KiB before the zeros, and what is left where a chunk ends.
    expect(sink.written()).toBeLessThan(128 * KiB);
  });

  test('are not looked at where all before them could be shared', async () => {
    const bytes = guest();
    const sampled: number[] = [];
    const source = await openRaw(sampledSource(bytes, (offset) => sampled.push(offset)));
    await convertTo('raw', { source, sink: directSink(bytes, { copy: all, reflink: all }), reflink: true });
    expect(sampled).toEqual([0]);
    sampled.length = 0;
    await convertTo('raw', { source, sink: directSink(bytes, { copy: all, reflink: none }), reflink: true });
    expect(sampled).toEqual([0, 2 * MiB, 4 * MiB]);
  });

  test('are not shared unless that is asked for', async () => {
    const bytes = guest();
    const sink = directSink(bytes, { copy: none, reflink: all });
    await convertTo('raw', { source: await openRaw(sampledSource(bytes)), sink, digest: true });
    await convertTo('raw', { source: await openRaw(sampledSource(bytes)), sink });
    expect(sink.shared).toEqual([]);
  });
});
