import fc from 'fast-check';
import { expect, test } from 'vitest';
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
function sampledSource(bytes: Uint8Array): ByteSource {
  return {
    ...memorySource(bytes),
    readSamples({ offset, stride, length }, into) {
      for (let done = 0; done < into.length; done += length) {
        const from = offset + (done / length) * stride;
        into.set(bytes.subarray(from, from + length), done);
      }
    },
  };
}

/** A sink that copies from sources, but only as far as `reach` says; `copied` has the ranges of the source. */
function copyingSink(
  bytes: Uint8Array,
  reach: (length: number) => number,
): MemorySink & { copied: [number, number][] } {
  const sink = memorySink();
  const copied: [number, number][] = [];
  return {
    ...sink,
    copied,
    copyFrom(_source, { offset, length }, to) {
      const done = reach(length);
      void sink.write(to, bytes.subarray(offset, offset + done));
      copied.push([offset, done]);
      return done;
    },
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

async function convertUnseen(source: DiskImage, name: string, sink: MemorySink): Promise<void> {
  const target = format(name);
  const request = { source, targets: [{ format: target, options: {}, fileName: 'disk' }], shared: false };
  const planned = await planConversion(request);
  const encoders = planned.plan.targets.map(({ layout }) => encoderOf(target, layout, codecs));
  const { plan, map } = unseenPlan(planned, source, { encoders, shared: false });
  expect(plan.unseen).toBe(true);
  const lanes = inlineLanes({ source, codecs, targets: [{ sinks: [sink], encoder: encoders[0] }] });
  const targets = [{ format: target, sinks: [sink], spool: memoryRunSpool() }];
  await convert(plan, { codecs, map, lanes, targets, shared: false, digest: false, now: () => 0 });
}

test.each(['raw', 'qcow2', 'vhdx', 'vdi'])('what a %s target cannot copy is read and written', async (name) => {
  const bytes = guest();
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), async (shares) => {
      const share = (): number => (shares.next().value as number) ?? 1;
      const sink = copyingSink(bytes, (length) => Math.floor(length * share()));
      await convertUnseen(await openRaw(sampledSource(bytes)), name, sink);
      const written = await format(name).open?.(memorySource(sink.bytes()), { codecs, references: denyReferences });
      const read = new Uint8Array(DISK_SIZE);
      await written?.read(0, read);
      expect(Buffer.from(read).equals(bytes)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('every unit with data is copied, the last and incomplete one is read', async () => {
  const bytes = guest();
  const sink = copyingSink(bytes, (length) => length);
  await convertUnseen(await openRaw(sampledSource(bytes)), 'raw', sink);
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
  const sink = copyingSink(bytes, () => 0);
  await expect(convertUnseen(await openRaw(shortened), 'raw', sink)).rejects.toMatchObject({ code: 'truncated' });
});
