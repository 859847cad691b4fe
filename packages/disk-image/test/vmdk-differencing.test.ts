/** Differencing VMDKs: what comes from the child, what from the parent, and which parent it is. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import { raw } from '../src/formats/raw/raw.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import type { DiskImage, LayoutRequest, ReferencePolicy } from '../src/index.ts';
import {
  convertImage,
  convertInMemory,
  denyReferences,
  findFormat,
  MAX_CHAIN_DEPTH,
  memorySink,
  memorySource,
  openChain,
  portableCodecs as codecs,
} from '../src/index.ts';
import { holdsGuest, readGuest } from './disk-files.ts';
import { noise, qemuImg } from './vmdk-driver.ts';
import { examineMemory, own, refusal, vmdkOf, withDescriptor } from './vmdk-memory.ts';

const GRAIN = 65_536;
const SIZE = 40 * GRAIN;

/** A disk with noise in the grains. */
function guestWith(grains: readonly number[], seed: number): Uint8Array {
  const guest = new Uint8Array(SIZE);
  for (const grain of grains) guest.set(noise(GRAIN, seed + grain), grain * GRAIN);
  return guest;
}

async function cidOf(disk: Uint8Array): Promise<string> {
  return (await examineMemory(disk)).info.linkId ?? '';
}

/** A disk that holds the grains alone, and has a parent. */
async function child(
  grains: readonly number[],
  parent: { readonly cid: string; readonly name: string },
  options: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const disk = own(await vmdkOf(guestWith(grains, 500), options));
  return withDescriptor(disk, 'parentCID=ffffffff', `parentCID=${parent.cid}\nparentFileNameHint="${parent.name}"`);
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
  const context = { codecs, references };
  const top = await vmdk.open?.(memorySource(bytes), context);
  if (top === undefined) throw new Error('vmdk can be opened');
  return openChain(top, context, async (source, hint, layerContext) => {
    const opened = await findFormat(hint ?? 'raw')?.open?.(source, layerContext);
    if (opened === undefined) throw new Error('the layer can be opened');
    return opened;
  });
}

const parentGuest = guestWith([0, 1, 2, 20, 39], 1);
const parent = own(await vmdkOf(parentGuest));
const cid = await cidOf(parent);

/** What a child shows that holds the grains. */
function shown(grains: readonly number[]): Uint8Array {
  const guest = parentGuest.slice();
  for (const grain of grains) guest.set(noise(GRAIN, 500 + grain), grain * GRAIN);
  return guest;
}

test.each([{}, { subformat: 'streamOptimized' }])('each grain is the child’s or the parent’s: %o', async (options) => {
  const bytes = await child([1, 7, 39], { cid, name: 'base.vmdk' }, options);
  const image = await openLayers(bytes, granting({ 'base.vmdk': parent }));
  for (const step of [262_144, 100_001]) {
    expect(holdsGuest(await readGuest(image, step), shown([1, 7, 39]))).toBe(true);
  }
});

test('a chain of three is converted as the one disk that it is', async () => {
  const middle = await child([2, 3], { cid, name: 'base.vmdk' });
  const top = await child([3, 4], { cid: await cidOf(middle), name: 'middle.vmdk' });
  const source = await openLayers(top, granting({ 'base.vmdk': parent, 'middle.vmdk': middle }));
  const { files } = await convertInMemory({ source, target: raw, fileName: 'flat.raw', codecs });
  expect(holdsGuest(files.get('flat.raw') ?? new Uint8Array(), shown([2, 3, 4]))).toBe(true);
});

test('the parent is named, with the content id that it must bear', async () => {
  const { info, findings } = await examineMemory(await child([1], { cid, name: '../disks/base.vmdk' }));
  const reference = { kind: 'parent', name: '../disks/base.vmdk', format: 'vmdk', linkIds: [cid] };
  expect(info).toMatchObject({ backing: reference, references: [reference] });
  expect(findings.map(({ code, severity }) => [code, severity])).toEqual([['differencing-parent', 'unsafe']]);
});

test('a parent that no policy grants is refused by its name', async () => {
  await expect(openLayers(await child([1], { cid, name: 'base.vmdk' }), denyReferences)).rejects.toMatchObject({
    code: 'unsafe',
    message: expect.stringContaining('base.vmdk'),
  });
});

test('a parent that was changed since, or is another disk, is refused by its name', async () => {
  const changed = own(await vmdkOf(guestWith([0], 2)));
  const opened = openLayers(await child([1], { cid, name: 'base.vmdk' }), granting({ 'base.vmdk': changed }));
  await expect(opened).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('base.vmdk') });
});

test('a disk that is its own parent is a loop', async () => {
  const bytes = own(await vmdkOf(guestWith([1], 500)));
  const self = withDescriptor(
    bytes,
    'parentCID=ffffffff',
    `parentCID=${await cidOf(bytes)}\nparentFileNameHint="self.vmdk"`,
  );
  expect(await refusal(() => openLayers(self, granting({ 'self.vmdk': self })))).toBe('corrupt');
});

test('a chain without end is cut off', async () => {
  let asked = 0;
  const bytes = own(await vmdkOf(guestWith([1], 500)));
  const hint = `parentCID=${await cidOf(bytes)}\nparentFileNameHint="next.vmdk"`;
  const endless = withDescriptor(bytes, 'parentCID=ffffffff', hint);
  const policy: ReferencePolicy = async () => {
    return { source: memorySource(endless), references: policy, identity: `${asked++}` };
  };
  expect(await refusal(() => openLayers(endless, policy))).toBe('corrupt');
  expect(asked).toBeLessThan(MAX_CHAIN_DEPTH);
});

test.each([
  { name: 'a parent without a name', more: 'parentCID=12345678', code: 'unsupported' },
  { name: 'a name without a content id', more: 'parentCID=ffffffff\nparentFileNameHint="base.vmdk"', code: 'corrupt' },
])('$name is refused', async ({ more, code }) => {
  const bytes = withDescriptor(parent, 'parentCID=ffffffff', more);
  expect(await refusal(() => openLayers(bytes, granting({ 'base.vmdk': parent })))).toBe(code);
  const { findings } = await examineMemory(bytes);
  expect(findings.map((finding) => finding.code)).toEqual(['differencing-parent']);
});

async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-delta-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const SUBFORMATS = ['monolithicSparse', 'twoGbMaxExtentSparse', 'streamOptimized'];
const ZEROED = [...SUBFORMATS, 'zeroed'];

test.each(ZEROED)('a delta that qemu-img and qemu-io wrote, %s, holds what they say', async (kind) => {
  const folder = await scratchFolder();
  const at = (name: string): string => join(folder, name);
  const io = await requirePackage('qemu-io', 'qemu-utils');
  const write = async (file: string, ...commands: readonly string[]): Promise<void> =>
    void (await promisify(execFile)(io, [...commands.flatMap((command) => ['-c', command]), '-f', 'vmdk', at(file)]));
  await qemuImg('create', '-f', 'vmdk', at('base.vmdk'), '10M');
  await write('base.vmdk', 'write -P 1 0 1M', 'write -P 2 5M 100k');
  const option = kind === 'zeroed' ? 'zeroed_grain=on' : `subformat=${kind}`;
  await qemuImg('create', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', '-o', option, at('child.vmdk'));
  // A stream is written once, from its beginning on.
  const changes = ['write -P 7 64k 64k', 'write -P 8 3M 64k', ...(kind === 'zeroed' ? ['write -z 128k 64k'] : [])];
  await write('child.vmdk', ...changes);
  await qemuImg('convert', '-O', 'raw', at('child.vmdk'), at('expected.raw'));
  const files: Record<string, Uint8Array> = { 'base.vmdk': await readFile(at('base.vmdk')) };
  if (kind === 'twoGbMaxExtentSparse') files['child-s001.vmdk'] = await readFile(at('child-s001.vmdk'));
  const image = await openLayers(await readFile(at('child.vmdk')), granting(files));
  expect(holdsGuest(await readGuest(image), await readFile(at('expected.raw')))).toBe(true);
});

async function rawDisk(bytes: Uint8Array): Promise<DiskImage> {
  const image = await raw.open?.(memorySource(bytes), { codecs, references: denyReferences });
  if (image === undefined) throw new Error('raw can be opened');
  return image;
}

describe('a disk that is written over a parent', () => {
  /** The base has ones in grains 0 to 9; the source likewise, but for zeros in 3 and 4, sevens in 6 and nines behind its end. */
  const baseGuest = new Uint8Array(30 * GRAIN).fill(1, 0, 10 * GRAIN);
  const wanted = new Uint8Array(SIZE);
  wanted.set(baseGuest);
  wanted.fill(0, 3 * GRAIN, 5 * GRAIN);
  wanted.fill(7, 6 * GRAIN + 4096, 6 * GRAIN + 8192);
  wanted.fill(9, 35 * GRAIN, 36 * GRAIN);

  async function overlay(
    base: Uint8Array,
    options: Readonly<Record<string, string>>,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    const reference = { kind: 'backing', name: 'base.vmdk', format: 'vmdk', linkIds: [await cidOf(base)] } as const;
    const sinks = new Map<string, ReturnType<typeof memorySink>>();
    const over = { reference, base: await openLayers(base, denyReferences) };
    await convertImage({
      source: await rawDisk(wanted),
      target: vmdk,
      options,
      fileName: 'child.vmdk',
      over,
      codecs,
      sinkOf: ({ name }) => {
        const sink = memorySink();
        sinks.set(name || 'child.vmdk', sink);
        return sink;
      },
    });
    return new Map([...sinks].map(([name, sink]) => [name, sink.bytes()]));
  }

  test.each([
    [{}, [3, 4, 6, 35], []],
    [{ zeroed_grain: 'on' }, [6, 35], [3, 4]],
    [{ subformat: 'twoGbMaxExtentSparse' }, [3, 4, 6, 35], []],
    [{ subformat: 'streamOptimized' }, [3, 4, 6, 35], []],
  ] as const)('%o stores what differs, and qemu-img reads it with its parent', async (options, data, zeros) => {
    const base = own(await vmdkOf(baseGuest));
    const files = await overlay(base, options);
    const top = files.get('child.vmdk') ?? new Uint8Array();
    const grants = granting({ ...Object.fromEntries(files), 'base.vmdk': base });
    expect(holdsGuest(await readGuest(await openLayers(top, grants)), wanted)).toBe(true);
    expect(await grainsOf(top, grants)).toEqual({ data, zeros });
    const folder = await scratchFolder();
    for (const [name, bytes] of [...files, ['base.vmdk', base] as const]) await writeFile(join(folder, name), bytes);
    await writeFile(join(folder, 'wanted.raw'), wanted);
    const compared = ['compare', '-f', 'raw', '-F', 'vmdk', join(folder, 'wanted.raw'), join(folder, 'child.vmdk')];
    expect(await qemuImg(...compared)).toContain('Images are identical.');
    expect(await qemuImg('check', join(folder, 'child.vmdk'))).toContain('No errors');
  });

  async function grainsOf(
    top: Uint8Array,
    references: ReferencePolicy,
  ): Promise<{ readonly data: readonly number[]; readonly zeros: readonly number[] }> {
    const layer = await vmdk.open?.(memorySource(top), { codecs, references });
    if (layer === undefined) throw new Error('vmdk can be opened');
    const found = { data: [] as number[], zeros: [] as number[] };
    for await (const { state, offset, length } of layer.extents({ offset: 0, length: layer.virtualSize })) {
      const into = state === 'data' ? found.data : state === 'zero' ? found.zeros : [];
      for (let at = offset; at < offset + length; at += GRAIN) into.push(at / GRAIN);
    }
    return found;
  }

  test.each([
    ['a flat disk', { subformat: 'monolithicFlat' }, {}],
    ['a parent of another format', {}, { format: 'raw' }],
    ['a parent without a content id', {}, { linkIds: [] }],
    ['a name with a quotation mark', {}, { name: 'a"b.vmdk' }],
    ['a name with a line break', {}, { name: 'a\nCID=1' }],
    ['a name of 5000 characters', {}, { name: 'x'.repeat(5000) }],
  ])('%s cannot be', (_name, options, changed) => {
    const backing = { kind: 'backing', name: 'base.vmdk', format: 'vmdk', linkIds: ['12345678'], ...changed } as const;
    const request = { virtualSize: SIZE, options, fileName: 'x.vmdk', seed: new Uint8Array(16), backing };
    expect(() => vmdk.writer?.layout(request as LayoutRequest)).toThrow(/parent/);
  });

  test('a name in another script is read back', async () => {
    const backing = { kind: 'backing', name: '../Köln.vmdk', format: 'vmdk', linkIds: ['00c0ffee'] } as const;
    const sink = memorySink();
    await convertImage({
      source: await rawDisk(wanted),
      target: vmdk,
      fileName: 'x.vmdk',
      over: { reference: backing, base: await rawDisk(baseGuest) },
      codecs,
      sinkOf: () => sink,
    });
    expect((await examineMemory(sink.bytes())).info.backing).toEqual({ ...backing, kind: 'parent' });
  });
});
