import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Codecs, CompressionMethod } from '@diskmorph/disk-image';
import { ImageError, portableCodecs } from '@diskmorph/disk-image';
import { createNodeCodecs } from './native-codecs.ts';
import { loadForeignFunctions } from './system-calls.ts';

const text = new TextEncoder().encode('diskmorph moves guest bytes. '.repeat(3000)).subarray(0, 65536);
const implementations: readonly (readonly [string, Codecs])[] = [
  ['portable', portableCodecs],
  ['Node', createNodeCodecs(undefined)],
  ['system', createNodeCodecs(loadForeignFunctions())],
];
const writers = implementations.flatMap(([name, codecs]) =>
  (['deflate', 'zlib', 'zstd'] as const)
    .filter((method) => !(name === 'portable' && method === 'zstd'))
    .map((method) => [name, method, codecs] as const),
);

function compressed(codecs: Codecs, method: CompressionMethod): Uint8Array {
  const output = new Uint8Array(text.length);
  return output.slice(0, codecs.compress(method, 3, text, output));
}

describe.each(writers)('a stream that %s codecs wrote by %s', (_name, method, writer) => {
  const stream = compressed(writer, method);

  test('is smaller than its content', () => {
    expect(stream.length).toBeGreaterThan(0);
    expect(stream.length).toBeLessThan(text.length / 10);
  });

  test.each(implementations)('is read by the %s codecs, whatever follows it', (_reader, reader) => {
    const output = new Uint8Array(text.length);
    const followed = new Uint8Array([...stream, ...new Uint8Array(300).fill(0xa5)]);
    // zlib streams end with a checksum that readers find by themselves; bytes after it are ignored as well.
    expect(reader.decompress(method, followed, output)).toBe(text.length);
    expect(Buffer.compare(output, text)).toBe(0);
  });

  test.each(implementations)(
    'is corrupt for the %s codecs when cut, or when its content would overflow',
    (_reader, reader) => {
      const output = new Uint8Array(text.length);
      for (const broken of [stream.subarray(0, stream.length >> 1), stream.subarray(0, 0)]) {
        expect(() => {
          const length = reader.decompress(method, broken, output);
          if (length < text.length) throw new ImageError('corrupt', 'too short');
        }).toThrow(ImageError);
      }
      expect(() => reader.decompress(method, stream, new Uint8Array(text.length - 1))).toThrow(ImageError);
    },
  );
});

describe.each(implementations)('%s codecs', (_name, codecs) => {
  test.each([
    ['aligned', 0, 65536],
    ['at any offset', 3, 65531],
    ['empty', 5, 0],
  ])('find the same bytes equal and a changed one not: %s', (_where, start, length) => {
    const [first, second] = [text, text].map((bytes) => new Uint8Array(bytes).subarray(start, start + length));
    if (first === undefined || second === undefined) throw new Error('two copies');
    expect(codecs.isEqual(first, second)).toBe(true);
    for (const at of length === 0 ? [] : [0, length >> 1, length - 1]) {
      second[at] = (second[at] ?? 0) ^ 1;
      expect(codecs.isEqual(first, second)).toBe(false);
      second[at] = first[at] ?? 0;
    }
  });

  test.each(['deflate', 'zlib'] as const)('say 0 when %s does not make the bytes fit', (method) => {
    expect(codecs.compress(method, 3, randomBytes(4096), new Uint8Array(4095))).toBe(0);
  });

  test.each([1, 4, 511, 512, 4096, 65536, 65537, 200_000])('find the only byte that is not zero in %i', (length) => {
    const bytes = new Uint8Array(length);
    expect(codecs.isZero(bytes)).toBe(true);
    for (const at of [0, length >> 1, length - 1]) {
      bytes[at] = 1;
      expect(codecs.isZero(bytes)).toBe(false);
      bytes[at] = 0;
    }
  });

  test('digest as SHA-256 does', () => {
    const digest = codecs.sha256(new TextEncoder().encode('abc'));
    expect(Buffer.from(digest).toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});
