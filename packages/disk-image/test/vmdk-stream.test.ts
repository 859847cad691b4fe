import { inflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memorySink, memorySource } from '../src/bytes/byte-source.ts';
import { portableCodecs } from '../src/bytes/portable-codecs.ts';
import { convertImage } from '../src/convert/convert-image.ts';
import { raw } from '../src/formats/raw/raw.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import { denyReferences } from '../src/image/reference.ts';
import { noise } from './vmdk-driver.ts';
import { edited, examineMemory, openMemory, own, readAll, refusal, vmdkOf, withDescriptor } from './vmdk-memory.ts';

const GRAIN = 65_536;
const STREAM = { subformat: 'streamOptimized' };

/** A stream as a reader meets it that cannot seek: every sector after the overhead belongs to one of these. */
function walk(bytes: Uint8Array): {
  readonly kinds: readonly string[];
  readonly grains: ReadonlyMap<number, Uint8Array>;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kinds: string[] = [];
  const grains = new Map<number, Uint8Array>();
  let at = Number(view.getBigUint64(64, true)) * 512;
  while (at < bytes.length) {
    const value = Number(view.getBigUint64(at, true));
    const size = view.getUint32(at + 8, true);
    if (size > 0) {
      grains.set(value, inflateSync(bytes.subarray(at + 12, at + 12 + size)));
      if (kinds.at(-1) !== 'grains') kinds.push('grains');
      at += Math.ceil((12 + size) / 512) * 512;
    } else {
      const kind = ['end', 'table', 'directory', 'footer'][view.getUint32(at + 12, true)] ?? 'unknown';
      if (kinds.at(-1) !== kind) kinds.push(kind);
      at += 512 + value * 512;
    }
  }
  return { kinds, grains };
}

/** Three grain tables: two with grains, the middle one without. */
async function threeTables(): Promise<{ readonly guest: Uint8Array; readonly bytes: Uint8Array }> {
  const guest = new Uint8Array(1100 * GRAIN);
  guest.set(noise(3 * GRAIN, 1), 5 * GRAIN);
  guest.set(noise(100, 2), 1030 * GRAIN + 7);
  return { guest, bytes: own(await vmdkOf(guest, STREAM)) };
}

describe('a stream that is written', () => {
  test('is grains, tables, directory, footer and end, with nothing between', async () => {
    const { guest, bytes } = await threeTables();
    const { kinds, grains } = walk(bytes);
    expect(kinds).toEqual(['grains', 'table', 'directory', 'footer', 'end']);
    expect([...grains.keys()]).toEqual([5, 6, 7, 1030].map((grain) => grain * 128));
    for (const [sector, grain] of grains) {
      expect(Buffer.compare(grain, guest.subarray(sector * 512, sector * 512 + GRAIN))).toBe(0);
    }
  });

  test('says what importers of OVF packages look for', async () => {
    const { bytes } = await threeTables();
    const view = new DataView(bytes.buffer);
    expect(view.getUint32(4, true)).toBe(3);
    expect(view.getUint32(8, true)).toBe(0x30001);
    expect(view.getBigUint64(20, true)).toBe(128n);
    expect(view.getUint32(44, true)).toBe(512);
    expect(view.getBigUint64(56, true)).toBe(2n ** 64n - 1n);
    expect(view.getUint16(77, true)).toBe(1);
    const { info, findings } = await examineMemory(bytes);
    expect(info.details).toMatchObject({ 'adapter-type': 'lsilogic', 'create-type': 'streamOptimized', footer: true });
    expect(findings).toEqual([]);
  });

  test('has a capacity of whole grains', async () => {
    const image = await openMemory(own(await vmdkOf(noise(GRAIN + 512, 3), STREAM)));
    expect(image.virtualSize).toBe(2 * GRAIN);
  });

  test('never goes back once its first bytes are out', async () => {
    const guest = noise(9 * GRAIN, 4);
    if (raw.open === undefined) throw new Error('raw can be opened');
    const source = await raw.open(memorySource(guest), { codecs: portableCodecs, references: denyReferences });
    const sink = memorySink();
    const offsets: number[] = [];
    const watched = {
      ...sink,
      async write(offset: number, bytes: Uint8Array) {
        offsets.push(offset);
        await sink.write(offset, bytes);
      },
    };
    const common = { codecs: portableCodecs, fileName: 'x', sinkOf: () => watched };
    await convertImage({ ...common, source, target: vmdk, options: STREAM });
    expect(offsets.pop()).toBe(0);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  });

  test('is the same for the same content whatever its file is called', async () => {
    const { guest, bytes } = await threeTables();
    expect(Buffer.compare(own(await vmdkOf(guest, STREAM)), bytes)).toBe(0);
  });

  test('keeps a grain that does not shrink, also where the codec gives up', () => {
    const asked = { virtualSize: GRAIN, options: STREAM, fileName: 'x.vmdk', seed: new Uint8Array(16) };
    const layout = vmdk.writer?.layout(asked);
    if (layout === undefined || vmdk.writer === undefined) throw new Error('vmdk can be written');
    const encoder = vmdk.writer.encoder(layout, { ...portableCodecs, compress: () => 0 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (start) => {
        const unit = new Uint8Array(GRAIN);
        unit.set(start);
        const into = new Uint8Array(encoder.maxStoredLength);
        const stored = encoder.encode(unit, 3 * GRAIN, into);
        expect(stored.length % 512).toBe(0);
        const length = new DataView(into.buffer).getUint32(8, true);
        expect(Buffer.compare(inflateSync(into.subarray(12, 12 + length)), unit)).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  test.each(['0', '1', '9'])('level %s is read back', async (compression_level) => {
    const guest = noise(2 * GRAIN, 5);
    const bytes = own(await vmdkOf(guest, { ...STREAM, compression_level }));
    expect(Buffer.compare(await readAll(await openMemory(bytes)), guest)).toBe(0);
  });
});

function setU32(at: number, value: number): (view: DataView) => void {
  return (view) => view.setUint32(at, value, true);
}

describe('a stream that is damaged', () => {
  test('cut anywhere behind its header is truncated, never shorter or zero', async () => {
    const bytes = own(await vmdkOf(noise(4 * GRAIN, 6), STREAM));
    for (let end = 20_000; end < bytes.length; end += 4999) {
      expect(await refusal(async () => openMemory(bytes.subarray(0, end)))).toBe('truncated');
    }
    const { findings } = await examineMemory(bytes.subarray(0, bytes.length - 512));
    expect(findings.map((finding) => finding.code)).toEqual(['truncated']);
    expect(findings[0]?.message).toContain('footer');
  });

  const first = GRAIN;
  test.each([
    { name: 'the marker of another grain', edit: setU32(first, 128), code: 'corrupt' },
    { name: 'a marker beyond any disk', edit: setU32(first + 4, 0xffffffff), code: 'corrupt' },
    { name: 'a grain without data', edit: setU32(first + 8, 0), code: 'corrupt' },
    { name: 'a grain of 2 GiB', edit: setU32(first + 8, 0x7fffffff), code: 'corrupt' },
    { name: 'a stream that is no zlib', edit: setU32(first + 12, 0), code: 'corrupt' },
  ])('$name', async ({ edit, code }) => {
    const bytes = edited(own(await vmdkOf(noise(4 * GRAIN, 7), STREAM)), edit);
    expect(await refusal(async () => readAll(await openMemory(bytes)))).toBe(code);
  });

  test('a footer that contradicts the header', async () => {
    const bytes = own(await vmdkOf(noise(GRAIN, 8), STREAM));
    const footer = bytes.length - 1024;
    const larger = edited(bytes, (view) => view.setBigUint64(footer + 12, 4096n, true));
    expect(await refusal(() => openMemory(larger))).toBe('corrupt');
    const circular = edited(bytes, (view) => view.setBigUint64(footer + 56, 2n ** 64n - 1n, true));
    expect(await refusal(() => openMemory(circular))).toBe('corrupt');
  });

  test('a grain that decompresses to less than a grain', async () => {
    const small = own(await vmdkOf(noise(GRAIN, 9), STREAM));
    const doubled = edited(small, (view) => {
      for (const at of [0, small.length - 1024]) {
        view.setBigUint64(at + 12, 256n, true);
        view.setBigUint64(at + 20, 256n, true);
      }
    });
    const described = withDescriptor(doubled, 'RW 128', 'RW 256');
    expect(await refusal(async () => readAll(await openMemory(described)))).toBe('corrupt');
  });
});

test('two reads at the same time do not share their memory', async () => {
  const guest = noise(12 * GRAIN, 10);
  const image = await openMemory(own(await vmdkOf(guest, STREAM)));
  const parts = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const into = new Uint8Array(GRAIN - 100);
      await image.read(i * GRAIN + 50, into);
      return Buffer.compare(into, guest.subarray(i * GRAIN + 50, (i + 1) * GRAIN - 50));
    }),
  );
  expect(parts).toEqual(Array.from({ length: 12 }, () => 0));
});
