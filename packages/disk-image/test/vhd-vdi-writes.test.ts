/** Random writes of qemu-io into VHDs and VDIs read as the same writes to a byte array; in between, the bytes of ours. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import { vdi } from '../src/formats/vdi/vdi.ts';
import { vhd } from '../src/formats/vhd/vhd.ts';
import type { Format, GivenOptions } from '../src/index.ts';
import { memorySource } from '../src/index.ts';
import { holdsGuest, readGuest, scratchFolder, withImage, writeFromRaw } from './disk-files.ts';
import { noise } from './vmdk-driver.ts';

const SIZE = 5_000_192;

let folder: Awaited<ReturnType<typeof scratchFolder>>;
let qemuIo: string;
beforeAll(async () => {
  const qemuImg = await requireQemuImg();
  qemuIo = join(dirname(qemuImg), basename(qemuImg).replace('qemu-img', 'qemu-io'));
  folder = await scratchFolder();
});
afterAll(() => folder.remove());

const CASES: readonly (readonly [string, Format, GivenOptions])[] = [
  ['vpc', vhd, { force_size: 'on' }],
  ['vpc', vhd, { force_size: 'on', block_size: '64k' }],
  ['vpc', vhd, { force_size: 'on', subformat: 'fixed' }],
  ['vdi', vdi, {}],
  ['vdi', vdi, { static: 'on' }],
];

const writes = fc.array(
  fc.record({
    sector: fc.nat(SIZE / 512 - 1),
    sectors: fc.integer({ min: 1, max: 3000 }),
    pattern: fc.integer({ min: 0, max: 255 }),
  }),
  { minLength: 1, maxLength: 12 },
);

test.each(CASES)(
  '%s: images of ours, written to by qemu-io',
  async (peerName, format, options) => {
    await fc.assert(
      fc.asyncProperty(writes, fc.nat(SIZE - 50_000), async (steps, at) => {
        const [raw, path] = [folder.path('guest.raw'), folder.path('image')];
        const pieces = [{ offset: at, bytes: noise(50_000, at + 1) }];
        await writeFromRaw(path, { raw, size: SIZE, pieces }, { target: format, options });
        const guest = await readFile(raw);
        const commands = steps.flatMap(({ sector, sectors, pattern }) => {
          const length = Math.min(sectors * 512, SIZE - sector * 512);
          guest.fill(pattern, sector * 512, sector * 512 + length);
          return ['-c', `write -P ${pattern} ${sector * 512} ${length}`];
        });
        await promisify(execFile)(qemuIo, ['-f', peerName, ...commands, path]);
        await withImage(path, format, async (image) => expect(holdsGuest(await readGuest(image), guest)).toBe(true));
        const report = await format.check?.(memorySource(await readFile(path)));
        expect(report).toMatchObject({ corruptions: 0, leaks: 0 });
      }),
      { numRuns: 12 },
    );
  },
  60_000,
);
