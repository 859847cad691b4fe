import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { convertFile, digestFile } from '../src/index.ts';
import type { FileConversion } from '../src/index.ts';
import { systemCalls } from '../src/system-calls.ts';
import { patternBytes } from './sparse-disk.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const UNIT = 64 * KiB;
const DISK_SIZE = 9 * MiB + 1536;
let folder = '';
const at = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-unseen-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Data at an offset; what lies around may be a hole. */
interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

async function writeDisk(name: string, pieces: readonly Piece[]): Promise<string> {
  const file = await open(at(name), 'w');
  await file.truncate(DISK_SIZE);
  for (const { offset, bytes } of pieces) await file.write(bytes, 0, bytes.length, offset);
  await file.close();
  return at(name);
}

/** Without a digest, which would look at every byte. */
async function copyUnseen(request: Pick<FileConversion, 'source' | 'target'>): Promise<boolean> {
  const choices = { verify: false, digest: false, overwrite: true, unseenFrom: 0 };
  const report = await convertFile({ ...request, ...choices });
  return report.plan.unseen === true;
}

const piece: fc.Arbitrary<Piece> = fc
  .record({
    sector: fc.nat(Math.floor(DISK_SIZE / 512) - 1),
    length: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 5000, max: 2 * MiB })),
    kind: fc.constantFrom('data' as const, 'zeros' as const, 'data at the end' as const),
    seed: fc.integer(),
  })
  .map(({ sector, length, kind, seed }) => {
    const offset = sector * 512;
    const bytes = patternBytes(Math.ceil(length / 4) * 4, seed).subarray(0, Math.min(length, DISK_SIZE - offset));
    if (kind !== 'data') bytes.fill(0, 0, kind === 'zeros' ? undefined : -3);
    return { offset, bytes };
  });

const SOURCES = [
  ['raw', {}],
  ['qcow2', {}],
  ['qcow2', { cluster_size: '4k' }],
  ['qcow2', { cluster_size: '2M' }],
  ['qcow2', { extended_l2: 'on' }],
  ['vhdx', {}],
  ['vhd', {}],
  ['vdi', {}],
  ['vmdk', {}],
] as const;
const TARGETS = [
  ['raw', {}],
  ['qcow2', {}],
  ['qcow2', { cluster_size: '2M' }],
  ['qcow2', { preallocation: 'metadata' }],
  ['vhdx', {}],
  ['vhd', {}],
  ['vhd', { subformat: 'fixed' }],
  ['vdi', {}],
  ['vmdk', {}],
  ['vmdk', { subformat: 'monolithicFlat' }],
] as const;

describe.runIf(systemCalls().openFilePipe !== undefined)('bytes that nobody looks at', () => {
  test('arrive as they were, from any format in any other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 8 }),
        fc.constantFrom(...SOURCES),
        fc.constantFrom(...TARGETS),
        async (pieces, [from, fromOptions], [to, options]) => {
          const raw = { path: await writeDisk('disk.raw', pieces), format: 'raw' };
          const source = { path: at(`source.${from}`), format: from, references: { directories: [folder] } };
          await convertFile({ source: raw, target: { ...source, options: fromOptions }, overwrite: true });
          const target = { path: at(`target.${to}`), format: to, options };
          expect(await copyUnseen({ source, target })).toBe(true);
          const back = { path: at('back.raw'), format: 'raw' };
          const made = { ...target, references: { directories: [folder] }, part: { offset: 0, size: DISK_SIZE } };
          await convertFile({ source: made, target: back, overwrite: true });
          expect((await readFile(back.path)).equals(await readFile(raw.path))).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('that are zeros take no space where they fill 64 KiB', async () => {
    const data = patternBytes(MiB, 3);
    const pieces = [
      { offset: 0, bytes: data },
      { offset: MiB, bytes: new Uint8Array(4 * MiB) },
      // Begins with zeros and is data all the same.
      { offset: 6 * MiB + UNIT - 1, bytes: Uint8Array.of(1) },
    ];
    const source = { path: await writeDisk('zeros.raw', pieces), format: 'raw' };
    expect((await stat(source.path)).blocks * 512).toBeGreaterThanOrEqual(5 * MiB);
    for (const format of ['raw', 'qcow2']) {
      const target = { path: at(`few.${format}`), format };
      expect(await copyUnseen({ source, target })).toBe(true);
      expect((await stat(target.path)).blocks * 512, format).toBeLessThanOrEqual(MiB + 8 * UNIT);
      expect(await digestFile(target)).toMatchObject({ contentId: (await digestFile(source)).contentId });
    }
  });

  test.each([
    ['a digest is asked for', {}, { verify: false, digest: true }],
    ['zeros are to be kept', {}, { verify: false, digest: false, zeroRule: { least: 0 } }],
    ['zeros of a given length are looked for', {}, { verify: false, digest: false, zeroRule: { least: 4096 } }],
    ['the target compresses', { compression: 'zlib' }, { verify: false, digest: false }],
    ['the target notes which parts of a cluster are zeros', { extended_l2: 'on' }, { verify: false, digest: false }],
  ])('are none where %s', async (_why, options, choices) => {
    const source = {
      path: await writeDisk('looked-at.raw', [{ offset: 0, bytes: patternBytes(MiB, 5) }]),
      format: 'raw',
    };
    const target = { path: at('looked-at.qcow2'), format: 'qcow2', options };
    const { plan } = await convertFile({ source, target, overwrite: true, unseenFrom: 0, ...choices });
    expect(plan.unseen).toBeUndefined();
  });

  test('are none where the disk holds little', async () => {
    const pieces = [{ offset: 0, bytes: patternBytes(MiB, 5) }];
    const source = { path: await writeDisk('little.raw', pieces), format: 'raw' };
    const target = { path: at('little.qcow2'), format: 'qcow2' };
    const { plan } = await convertFile({ source, target, verify: false, digest: false });
    expect(plan.unseen).toBeUndefined();
  });

  test('are none where the source stores them compressed', async () => {
    const raw = { path: await writeDisk('plain.raw', [{ offset: 0, bytes: patternBytes(MiB, 7) }]), format: 'raw' };
    const source = { path: at('packed.qcow2'), format: 'qcow2' };
    await convertFile({ source: raw, target: { ...source, options: { compression: 'zlib' } } });
    expect(await copyUnseen({ source, target: { path: at('unpacked.raw'), format: 'raw' } })).toBe(false);
  });
});
