/** The decoders of xz and bzip2 against the programs that define them in practice. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memorySource } from '../src/bytes/byte-source.ts';
import { bunzip2, bunzip2Into } from '../src/bytes/bzip2.ts';
import { crc32 } from '../src/bytes/crc32.ts';
import type { InputWindow } from '../src/bytes/input-window.ts';
import { inputWindow } from '../src/bytes/input-window.ts';
import { unxz, unxzInto } from '../src/bytes/xz.ts';
import { ImageError } from '../src/errors.ts';
import { joined } from './goldens.ts';
import { collected, packedBy } from './packed.ts';
import { mixedGuest, noise } from './qcow2-peer.ts';

const GUEST = mixedGuest(3_000_001);
const TEXT = Uint8Array.from({ length: 700_000 }, (_, i) => (((i * i) % 251) ^ (i >> 9)) & 0x7f);
const SMALL = mixedGuest(40_000);

const DECODERS: Readonly<Record<string, (input: InputWindow) => AsyncIterable<Uint8Array>>> = {
  xz: unxz,
  bzip2: bunzip2,
};

function decoded(program: string, packed: Uint8Array): Promise<Uint8Array> {
  const decoder = DECODERS[program];
  if (decoder === undefined) throw new Error(`there is a decoder for ${program}`);
  return collected(decoder(inputWindow(memorySource(packed))));
}

async function codeOf(program: string, packed: Uint8Array): Promise<string> {
  try {
    await decoded(program, packed);
    return 'none';
  } catch (error) {
    if (error instanceof ImageError) return error.code;
    throw error;
  }
}

const CASES: readonly { readonly program: string; readonly options: readonly string[] }[] = [
  { program: 'xz', options: ['-0'] },
  { program: 'xz', options: ['-6'] },
  { program: 'xz', options: ['-9e'] },
  { program: 'xz', options: ['--check=none'] },
  { program: 'xz', options: ['--check=crc32'] },
  { program: 'xz', options: ['--check=sha256'] },
  { program: 'xz', options: ['-T2', '--block-size=100KiB'] },
  { program: 'xz', options: ['--lzma2=dict=4KiB,lc=0,lp=4,pb=4'] },
  { program: 'xz', options: ['--lzma2=dict=64KiB,lc=4,lp=0,pb=0,mf=hc3'] },
  { program: 'bzip2', options: ['-1'] },
  { program: 'bzip2', options: ['-9'] },
];

describe.each(CASES)('$program $options', ({ program, options }) => {
  test.each([
    { name: 'a disk', content: GUEST },
    { name: 'text', content: TEXT },
    { name: 'zeros', content: new Uint8Array(5_000_000) },
    { name: 'noise', content: noise(1_100_000, 9) },
    { name: 'one byte', content: new Uint8Array([7]) },
    { name: 'nothing', content: new Uint8Array(0) },
  ])('$name comes back', async ({ content }) => {
    const packed = await packedBy(program, options, content);
    expect(Buffer.compare(await decoded(program, packed), content)).toBe(0);
  });
});

describe.each(['xz', 'bzip2'])('%s', (program) => {
  test('several streams are one', async () => {
    const packed = joined(
      await packedBy(program, [], SMALL),
      await packedBy(program, [], new Uint8Array(0)),
      await packedBy(program, ['-1'], TEXT),
    );
    expect(Buffer.compare(await decoded(program, packed), joined(SMALL, TEXT))).toBe(0);
  });

  test('cut anywhere it is truncated, at a boundary of streams it is whole', async () => {
    const packed = await packedBy(program, [], SMALL);
    for (let cut = 0; cut < packed.length; cut += 1 + Math.floor(packed.length / 150)) {
      expect(await codeOf(program, packed.subarray(0, cut))).toBe('truncated');
    }
  });

  test.each([
    { name: 'a byte', tail: [0x55] },
    { name: 'zeros that are no padding', tail: [0, 0, 0] },
    { name: 'another format', tail: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
  ])('$name behind the last stream is an error', async ({ tail }) => {
    const packed = joined(await packedBy(program, [], SMALL), Uint8Array.from(tail));
    expect(['corrupt', 'truncated']).toContain(await codeOf(program, packed));
  });

  test('any change is noticed, or changes nothing', async () => {
    const packed = await packedBy(program, program === 'xz' ? ['-T2', '--block-size=16KiB'] : [], SMALL);
    const change = fc.record({ at: fc.nat(packed.length - 1), bits: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const damaged = packed.slice();
        for (const { at, bits } of changes) damaged[at] = (damaged[at] ?? 0) ^ bits;
        try {
          expect(Buffer.compare(await decoded(program, damaged), SMALL)).toBe(0);
        } catch (error) {
          if (!(error instanceof ImageError)) throw error;
          expect(['corrupt', 'truncated', 'unsupported', 'unsafe']).toContain(error.code);
        }
      }),
      { numRuns: 400 },
    );
  });
});

test('stream padding of xz is accepted', async () => {
  const packed = joined(await packedBy('xz', [], SMALL), new Uint8Array(8), await packedBy('xz', [], TEXT));
  expect(Buffer.compare(await decoded('xz', packed), joined(SMALL, TEXT))).toBe(0);
});

test.each([
  { name: 'x86', options: ['--x86', '--lzma2'] },
  { name: 'delta', options: ['--delta=dist=4', '--lzma2'] },
])('the $name filter of xz is refused by name', async ({ name, options }) => {
  const packed = await packedBy('xz', options, SMALL);
  await expect(decoded('xz', packed)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining(name),
  });
});

test('a dictionary of gigabytes is refused before memory is taken', async () => {
  const packed = await packedBy('xz', [], SMALL);
  const headerBytes = ((packed[12] ?? 0) + 1) * 4;
  const property = packed.subarray(12, 12 + headerBytes).indexOf(0x21) + 14;
  packed[property] = 38;
  new DataView(packed.buffer).setUint32(8 + headerBytes, crc32(packed.subarray(12, 8 + headerBytes)), true);
  expect(await codeOf('xz', packed)).toBe('unsafe');
});

test('into a buffer: exactly what fits', async () => {
  const bzip2 = await packedBy('bzip2', [], SMALL);
  const xz = await packedBy('xz', [], SMALL);
  const into = new Uint8Array(SMALL.length);
  expect(bunzip2Into(bzip2, into)).toBe(SMALL.length);
  expect(Buffer.compare(into, SMALL)).toBe(0);
  into.fill(0);
  expect(await unxzInto(xz, into)).toBe(SMALL.length);
  expect(Buffer.compare(into, SMALL)).toBe(0);
  expect(() => bunzip2Into(bzip2, into.subarray(1))).toThrow(ImageError);
  await expect(unxzInto(xz, into.subarray(1))).rejects.toMatchObject({ code: 'corrupt' });
});
