import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sparseMemory } from './sparse-memory.ts';

const change = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), at: fc.nat(40_000), length: fc.nat(20_000), byte: fc.nat(2) }),
  fc.record({ kind: fc.constant('zero' as const), at: fc.nat(40_000), length: fc.nat(20_000) }),
  fc.record({ kind: fc.constant('truncate' as const), at: fc.nat(60_000) }),
);

test('is a file, whatever is written, zeroed and cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (changes) => {
      const file = sparseMemory();
      let expected: Buffer = Buffer.alloc(0);
      const grown = (size: number): Buffer =>
        Buffer.concat([expected, Buffer.alloc(Math.max(0, size - expected.length))]);
      for (const each of changes) {
        if (each.kind === 'truncate') {
          await file.truncate(each.at);
          expected = Buffer.from(grown(each.at).subarray(0, each.at));
          continue;
        }
        expected = grown(each.at + each.length);
        const byte = each.kind === 'write' ? each.byte : 0;
        expected.fill(byte, each.at, each.at + each.length);
        if (each.kind === 'zero') await file.zero(each.at, each.length);
        else await file.write(each.at, new Uint8Array(each.length).fill(byte));
      }
      expect(file.size).toBe(expected.length);
      const read = new Uint8Array(file.size).fill(99);
      await file.read(0, read);
      expect(Buffer.compare(read, expected)).toBe(0);
    }),
  );
});

test('zeros take no space, and more than is allowed is refused', async () => {
  const file = sparseMemory(8192);
  await file.write(2 ** 40, new Uint8Array(2 ** 20));
  await file.write(0, new Uint8Array(8192).fill(1));
  await expect(file.write(2 ** 30, new Uint8Array([1]))).rejects.toMatchObject({ code: 'io' });
});

test('reading behind the end is truncated', async () => {
  await expect(sparseMemory().read(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'truncated' });
});
