import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../../../fixtures/command.ts';
import { checksumFile, checksumNames, compareFiles, packDisk } from '../src/index.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
let folder = '';
const at = (...names: string[]): string => path.join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'diskmorph-pack-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A disk with four bytes of data at each of these places. */
async function writeDisk(name: string, size: number, places: readonly number[]): Promise<void> {
  const file = await open(at(name), 'w');
  for (const place of places) await file.write(new Uint8Array([1, 2, 3, 4]), 0, 4, place);
  await file.truncate(size);
  await file.close();
}

const pack = async (disk: string, archive: string): Promise<void> =>
  packDisk({ diskPath: at(disk), archivePath: at(archive), memberName: 'disk.raw' });

test.each([
  { name: 'an empty disk', size: 64 * MiB, places: [] },
  { name: 'a few regions', size: 64 * MiB, places: [0, 5 * MiB, 64 * MiB - 4] },
  {
    name: 'more regions than fit into the header',
    size: 200 * MiB,
    places: Array.from({ length: 60 }, (_, i) => i * 3 * MiB),
  },
  { name: 'a disk beyond eleven octal digits', size: 9 * GiB, places: [0, 9 * GiB - MiB] },
  { name: 'a disk that ends inside a piece', size: 3 * MiB + 512, places: [3 * MiB] },
])('GNU tar unpacks $name', async ({ size, places }) => {
  await writeDisk('disk', size, places);
  await pack('disk', 'disk.tar.gz');
  await rm(at('out'), { recursive: true, force: true });
  await mkdir(at('out'));
  await runCommand('tar', ['-xzf', at('disk.tar.gz'), '-C', at('out')]);
  const unpacked = await stat(at('out', 'disk.raw'));
  expect(unpacked).toMatchObject({ size, mtimeMs: 0 });
  expect(unpacked.blocks * 512).toBeLessThanOrEqual(places.length * MiB);
  const unpackedDisk = { path: at('out', 'disk.raw'), format: 'raw' };
  expect(await compareFiles({ path: at('disk'), format: 'raw' }, unpackedDisk)).toMatchObject({ equal: true });
});

test('equal disks give equal archives, with holes and without', async () => {
  await writeDisk('holes', 8 * MiB, [MiB]);
  await writeFile(at('dense'), await readFile(at('holes')));
  await pack('holes', 'holes.tar.gz');
  await pack('dense', 'dense.tar.gz');
  const names = ['sha256'] as const;
  expect(await checksumFile(at('holes.tar.gz'), names)).toEqual(await checksumFile(at('dense.tar.gz'), names));
});

test('a disk that ends inside a sector is refused', async () => {
  await writeFile(at('odd'), '');
  await truncate(at('odd'), 1000);
  await expect(pack('odd', 'odd.tar.gz')).rejects.toMatchObject({ code: 'unsupported' });
});

test('a cancelled packing says so', async () => {
  await writeDisk('cancelled', 8 * MiB, [0]);
  const packing = { diskPath: at('cancelled'), archivePath: at('cancelled.tar.gz'), memberName: 'disk.raw' };
  await expect(packDisk(packing, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
});

test('an archive that cannot be written is a clear error', async () => {
  await writeDisk('there', MiB, [0]);
  const packing = { diskPath: at('there'), archivePath: at('nowhere', 'x.tar.gz'), memberName: 'disk.raw' };
  await expect(packDisk(packing)).rejects.toMatchObject({ code: 'io' });
});

test('the checksum of a file is that of its bytes', async () => {
  const bytes = new Uint8Array(3 * MiB + 17).fill(7);
  await writeFile(at('bytes'), bytes);
  const digest = (name: string): string => createHash(name).update(bytes).digest('hex');
  expect(await checksumFile(at('bytes'), checksumNames)).toEqual(
    Object.fromEntries(checksumNames.map((name) => [name, digest(name)])),
  );
});
