/** Differencing VHDs: what comes from the child, what from the parent, and which parent it is. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { vhd } from '../src/formats/vhd/vhd.ts';
import { raw } from '../src/formats/raw/raw.ts';
import type { DiskImage, OpenContext, ReferencePolicy } from '../src/index.ts';
import {
  convertInMemory,
  denyReferences,
  findFormat,
  memorySource,
  openChain,
  portableCodecs as codecs,
} from '../src/index.ts';
import { holdsGuest, readGuest } from './disk-files.ts';
import { patched } from './goldens.ts';
import type { ChildFields, Locator } from './vhd-disks.ts';
import { childDisk } from './vhd-disks.ts';
import { noise } from './vmdk-driver.ts';

const SIZE = 300_032;
const BLOCK = 65_536;
const PARENT_ID_AT = 68;

const utf16 = (text: string): Uint8Array => Buffer.from(text, 'utf16le');
const W2RU: Locator = { code: 'W2ru', data: utf16('.\\disks\\base.vhd') };
const W2KU: Locator = { code: 'W2ku', data: utf16('C:\\vm\\disks\\base.vhd') };
const MACX: Locator = { code: 'MacX', data: Buffer.from('file://localhost/vm/my%20disks/base.vhd') };

async function parentDisk(guest: Uint8Array, options: Record<string, string>): Promise<Uint8Array> {
  const source = await raw.open?.(memorySource(guest), { codecs, references: denyReferences });
  if (source === undefined) throw new Error('raw can be opened');
  const { files } = await convertInMemory({ source, target: vhd, options, fileName: 'base.vhd', codecs });
  return files.get('base.vhd') ?? new Uint8Array();
}

function idOf(disk: Uint8Array): Uint8Array {
  return disk.slice(-512).slice(PARENT_ID_AT, PARENT_ID_AT + 16);
}

/** Grants the disks of those names, and their parents likewise. */
function granting(disks: Readonly<Record<string, Uint8Array>>): ReferencePolicy {
  const policy: ReferencePolicy = async (reference) => {
    const bytes = disks[reference.name];
    if (bytes === undefined) return denyReferences(reference);
    return { source: memorySource(bytes), references: policy, identity: reference.name };
  };
  return policy;
}

async function openLayers(bytes: Uint8Array, references: ReferencePolicy): Promise<DiskImage> {
  const context: OpenContext = { codecs, references };
  const top = await vhd.open?.(memorySource(bytes), context);
  if (top === undefined) throw new Error('vhd can be opened');
  return openChain(top, context, async (source, hint, layerContext) => {
    const opened = await findFormat(hint ?? 'raw')?.open?.(source, layerContext);
    if (opened === undefined) throw new Error('the layer can be opened');
    return opened;
  });
}

function child(parent: Uint8Array, more: Partial<ChildFields> = {}): Uint8Array {
  const sectors = more.sectors ?? new Map([[3, noise(512, 5)]]);
  return childDisk({ size: SIZE, blockSize: BLOCK, parentId: idOf(parent), locators: [W2RU], ...more, sectors });
}

test('each sector is the child’s or the parent’s, as the bitmap says', async () => {
  const sectors = fc.uniqueArray(fc.nat(SIZE / 512 - 1), { maxLength: 60 });
  const parents = fc.constantFrom({ subformat: 'fixed' }, { block_size: '64k' });
  await fc.assert(
    fc.asyncProperty(sectors, parents, fc.integer({ min: 1, max: 99_999 }), async (stored, options, step) => {
      const guest = noise(SIZE, 1);
      guest.fill(0, 70_000, 150_000);
      const parent = await parentDisk(guest, { force_size: 'on', ...options });
      const own = new Map(stored.map((sector) => [sector, noise(512, sector + 7)]));
      const image = await openLayers(child(parent, { sectors: own }), granting({ './disks/base.vhd': parent }));
      for (const [sector, bytes] of own) guest.set(bytes, sector * 512);
      expect(image.virtualSize).toBe(SIZE);
      expect(holdsGuest(await readGuest(image, step), guest)).toBe(true);
    }),
    { numRuns: 25 },
  );
});

test('a chain of three reads through both parents', async () => {
  const guest = noise(SIZE, 1);
  const base = await parentDisk(guest, { force_size: 'on' });
  const middleId = new Uint8Array(16).fill(4);
  const middle = child(base, {
    uniqueId: middleId,
    sectors: new Map([
      [0, noise(512, 2)],
      [9, noise(512, 3)],
    ]),
  });
  const locators = [{ code: 'W2ru', data: utf16('middle.vhd') }];
  const top = child(base, { parentId: middleId, locators, sectors: new Map([[9, noise(512, 4)]]) });
  const image = await openLayers(top, granting({ 'middle.vhd': middle, './disks/base.vhd': base }));
  guest.set(noise(512, 2), 0);
  guest.set(noise(512, 4), 9 * 512);
  expect(holdsGuest(await readGuest(image), guest)).toBe(true);
});

test('a chain is converted as the one disk that it is', async () => {
  const guest = noise(SIZE, 1);
  const parent = await parentDisk(guest, {});
  const source = await openLayers(child(parent), granting({ './disks/base.vhd': parent }));
  const { files } = await convertInMemory({ source, target: raw, fileName: 'flat.raw', codecs });
  guest.set(noise(512, 5), 3 * 512);
  expect(holdsGuest(files.get('flat.raw') ?? new Uint8Array(), guest)).toBe(true);
});

test('beyond the end of a shorter parent are zeros', async () => {
  const guest = noise(100_352, 1);
  const parent = await parentDisk(guest, { force_size: 'on' });
  const image = await openLayers(child(parent, { sectors: new Map() }), granting({ './disks/base.vhd': parent }));
  expect(holdsGuest(await readGuest(image), guest)).toBe(true);
});

test('in a dynamic disk, sectors that its bitmap leaves out are zeros', async () => {
  const sectors = new Map([[100, noise(512, 8)]]);
  const image = await openLayers(child(new Uint8Array(512), { diskType: 3, sectors }), denyReferences);
  const guest = new Uint8Array(SIZE);
  guest.set(noise(512, 8), 100 * 512);
  expect(holdsGuest(await readGuest(image, 70_000), guest)).toBe(true);
});

test('a parent that no policy grants is refused by its name', async () => {
  const parent = await parentDisk(noise(SIZE, 1), {});
  await expect(openLayers(child(parent), denyReferences)).rejects.toMatchObject({
    code: 'unsafe',
    message: expect.stringContaining('./disks/base.vhd'),
  });
});

test('another disk of the parent’s name is not the parent', async () => {
  const parent = await parentDisk(noise(SIZE, 1), {});
  const other = await parentDisk(noise(SIZE, 2), {});
  await expect(openLayers(child(parent), granting({ './disks/base.vhd': other }))).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringContaining('./disks/base.vhd'),
  });
});

test('a disk that is its own parent is a loop', async () => {
  const id = new Uint8Array(16).fill(4);
  const own = child(new Uint8Array(512), { uniqueId: id, parentId: id });
  await expect(openLayers(own, granting({ './disks/base.vhd': own }))).rejects.toMatchObject({ code: 'corrupt' });
});

test.each([
  { name: 'the relative path before all', locators: [W2KU, MACX, W2RU], parent: './disks/base.vhd' },
  { name: 'the file URL before the Windows path', locators: [W2KU, MACX], parent: '/vm/my disks/base.vhd' },
  { name: 'the Windows path', locators: [W2KU], parent: 'C:/vm/disks/base.vhd' },
  {
    name: 'a URL of a relative path',
    locators: [{ code: 'MacX', data: Buffer.from('file://./base.vhd\0') }],
    parent: './base.vhd',
  },
  {
    name: 'a URL with a broken escape',
    locators: [{ code: 'MacX', data: Buffer.from('file:///a%zz') }],
    parent: '/a%zz',
  },
  {
    name: 'the name in the header when no locator is known',
    locators: [{ code: 'Mac ', data: utf16('alias') }],
    parent: 'dir/base.vhd',
  },
  {
    name: 'the name in the header when a locator is empty',
    locators: [{ code: 'W2ru', data: utf16('\0\0') }],
    parent: 'dir/base.vhd',
  },
])('the parent is named by $name', async ({ locators, parent }) => {
  const { info, findings } = await vhd.examine(
    memorySource(child(new Uint8Array(512), { locators, parentName: 'dir\\base.vhd' })),
  );
  expect(info.backing).toMatchObject({ kind: 'parent', name: parent, format: 'vhd' });
  expect(findings.map(({ code }) => code)).toEqual(['differencing-parent']);
});

test.each([
  { name: 'a locator beyond the file', at: 512 + 576 + 16, bytes: [0, 0, 0, 1], code: 'table-outside-file' },
  { name: 'a locator of megabytes', at: 512 + 576 + 8, bytes: [0, 0x10, 0, 0], code: 'size-bomb-table' },
])('$name is not read', async ({ at, bytes, code }) => {
  const broken = patched(child(new Uint8Array(512), { parentName: 'base.vhd' }), at, bytes);
  const { info, findings } = await vhd.examine(memorySource(broken));
  expect(info.backing?.name).toBe('base.vhd');
  expect(findings.map((finding) => finding.code)).toContain(code);
  await expect(openLayers(broken, denyReferences)).rejects.toMatchObject({ name: 'ImageError' });
});
