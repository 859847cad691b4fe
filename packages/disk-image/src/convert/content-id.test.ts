import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { memorySource } from '../bytes/byte-source.ts';
import { portableCodecs } from '../bytes/portable-codecs.ts';
import { raw } from '../formats/raw/raw.ts';
import { denyReferences } from '../image/reference.ts';
import { contentIdBuilder, contentTree } from './content-id.ts';
import { digestImage, inlineLanes } from './digest.ts';

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The definition in docs/content-id.md, written out in the plainest way. */
function contentIdByDefinition(bytes: Uint8Array): string {
  let level: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 65536) {
    const leaf = Buffer.alloc(65536);
    leaf.set(bytes.subarray(at, at + 65536));
    level.push(sha256(leaf));
  }
  if (level.length === 0) level.push(sha256(Buffer.alloc(65536)));
  while (Math.log2(level.length) % 1 !== 0) level.push(sha256(Buffer.alloc(65536)));
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, i) =>
      sha256(Buffer.of(1), level[2 * i] ?? Buffer.of(), level[2 * i + 1] ?? Buffer.of()),
    );
  }
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(bytes.length));
  return `dm1-sha256:${sha256(Buffer.from('diskmorph content id 1\n'), size, level[0] ?? Buffer.of()).toString('hex')}`;
}

async function contentIdOf(bytes: Uint8Array): Promise<string> {
  const codecs = portableCodecs;
  const open = raw.open;
  if (open === undefined) throw new Error('raw can be read');
  const source = await open(memorySource(bytes), { codecs, references: denyReferences });
  const lanes = inlineLanes({ source, targets: [], codecs });
  return (await digestImage(source, { codecs, lanes, shared: false, now: () => 0 })).contentId;
}

describe('the content id', () => {
  test.each([0, 1, 4096, 65535, 65536, 65537, 200_000, 262_144, 262_145, 1_000_000, 3 * 262_144])(
    'of %i bytes is the one of the definition',
    async (size) => {
      const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
      bytes.fill(0, size / 3, size / 2);
      expect(await contentIdOf(bytes)).toBe(contentIdByDefinition(bytes));
    },
  );

  test('of zeros is the one of the definition', async () => {
    expect(await contentIdOf(new Uint8Array(700_000))).toBe(contentIdByDefinition(new Uint8Array(700_000)));
  });

  test('depends on the size of the disk even when only zeros are added', async () => {
    expect(await contentIdOf(new Uint8Array(65536))).not.toBe(await contentIdOf(new Uint8Array(65537)));
  });

  test('of sparse random disks is the one of the definition', async () => {
    const disk = fc.array(fc.tuple(fc.nat(40), fc.uint8Array({ minLength: 1, maxLength: 50 })), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(disk, fc.integer({ min: 0, max: 30 * 65536 }), async (patches, size) => {
        const bytes = new Uint8Array(size);
        for (const [leaf, patch] of patches) {
          const at = leaf * 65536 + patch.length;
          if (at + patch.length <= size) bytes.set(patch, at);
        }
        expect(await contentIdOf(bytes)).toBe(contentIdByDefinition(bytes));
      }),
      { numRuns: 40 },
    );
  });

  test('is the same when its builder is stopped and goes on from its state', () => {
    const tree = contentTree(portableCodecs);
    const size = 1000 * 65536;
    const digests = [3, 4, 5, 300, 301, 999].map((index) => [index, tree.leaf(Uint8Array.of(index & 0xff))] as const);
    const whole = contentIdBuilder(portableCodecs, size);
    let parts = contentIdBuilder(portableCodecs, size);
    for (const [index, digest] of digests) {
      whole.add(index, 0, digest);
      parts.add(index, 0, digest);
      parts = contentIdBuilder(portableCodecs, size, JSON.parse(JSON.stringify(parts.state())));
    }
    expect(parts.finish()).toBe(whole.finish());
  });
});
