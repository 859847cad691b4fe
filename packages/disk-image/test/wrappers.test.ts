/** Containers made by the programs that people use, cut short, changed, hostile. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Unwrapped, WrapperKind, WrapperOptions } from '../src/index.ts';
import {
  ImageError,
  memorySource,
  openWrapper,
  partOfScattered,
  readBytes,
  scatteredSource,
  wrapperAtStart,
} from '../src/index.ts';
import { inScratchFolder, joined } from './goldens.ts';
import { collected, packedBy, sparseTar } from './packed.ts';
import { mixedGuest, noise } from './qcow2-peer.ts';
import { ovaOf, ovfOf, sha256Line, tarOf } from './tar-archives.ts';

const GUEST = mixedGuest(1_500_001);
const SMALL = mixedGuest(30_000);
const PAX_SPARSE = { major: '1', minor: '0', realsize: '9' };

/** The bytes inside, and the name when there is one. */
async function unwrapped(
  packed: Uint8Array,
  kind: WrapperKind,
  options: WrapperOptions = {},
): Promise<{
  readonly placement: Unwrapped['placement'];
  readonly name: string | undefined;
  readonly bytes: Uint8Array;
}> {
  const opened = await openWrapper(memorySource(packed), kind, options);
  if (opened.placement === 'range') {
    const { offset, length, name } = opened;
    return { placement: 'range', name, bytes: packed.subarray(offset, offset + length) };
  }
  if (opened.placement === 'pieces') {
    const bytes = new Uint8Array(opened.length);
    for (const { offset, hostOffset, length } of opened.pieces) {
      bytes.set(packed.subarray(hostOffset, hostOffset + length), offset);
    }
    return { placement: 'pieces', name: opened.name, bytes };
  }
  const bytes = await collected(opened.bytes);
  expect(opened.length ?? bytes.length).toBe(bytes.length);
  return { placement: 'stream', name: opened.name, bytes };
}

async function codeOf(packed: Uint8Array, kind: WrapperKind, options: WrapperOptions = {}): Promise<string> {
  try {
    await unwrapped(packed, kind, options);
    return 'none';
  } catch (error) {
    if (error instanceof ImageError) return error.code;
    throw error;
  }
}

/** An archive that `program` makes of the files, in a folder of its own. */
async function archive(
  program: string,
  options: readonly string[],
  files: Readonly<Record<string, Uint8Array>>,
): Promise<Uint8Array<ArrayBuffer>> {
  return inScratchFolder(async (folder) => {
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), bytes);
    }
    return packedBy(program, options, undefined, folder);
  });
}

interface Recipe {
  readonly name: string;
  readonly kind: WrapperKind;
  readonly pack: (content: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>;
  readonly placement: Unwrapped['placement'];
  readonly inner?: string;
}

const PYTHON_ZIP =
  'import sys,zipfile,io\nb=io.BytesIO()\nz=zipfile.ZipFile(b,"w",int(sys.argv[1]))\nwith z.open("disk.img","w",force_zip64=True) as f: f.write(sys.stdin.buffer.read())\nz.close()\nsys.stdout.buffer.write(b.getvalue())';

const zip =
  (...options: string[]) =>
  async (content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
    archive('zip', ['-q', ...options, '-', 'disk.img'], { 'disk.img': content });
const tar =
  (...options: string[]) =>
  async (content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
    archive('tar', ['-c', ...options, 'disk.img'], { 'disk.img': content });
const filter =
  (program: string, ...options: string[]) =>
  (content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
    packedBy(program, options, content);

const asTar = (...members: Parameters<typeof tarOf>[0]): Uint8Array => tarOf(members);

const KNOWN = ['none', 'corrupt', 'truncated', 'unsupported', 'unsafe'];
const LONG_NAME = `${'a-long-folder-name/'.repeat(12)}disk.img`;
const RECIPES: readonly Recipe[] = [
  { name: 'gzip', kind: 'gz', pack: filter('gzip', '-c'), placement: 'stream' },
  { name: 'gzip -1', kind: 'gz', pack: filter('gzip', '-1c'), placement: 'stream' },
  { name: 'xz', kind: 'xz', pack: filter('xz', '-c'), placement: 'stream' },
  { name: 'bzip2', kind: 'bz2', pack: filter('bzip2', '-c'), placement: 'stream' },
  { name: 'zstd', kind: 'zst', pack: filter('zstd', '-c'), placement: 'stream' },
  { name: 'zstd -19 --long=24', kind: 'zst', pack: filter('zstd', '-19', '--long=24', '-c'), placement: 'stream' },
  { name: 'zstd without checksum', kind: 'zst', pack: filter('zstd', '--no-check', '-c'), placement: 'stream' },
  { name: 'zip', kind: 'zip', pack: zip(), placement: 'stream', inner: 'disk.img' },
  { name: 'zip -0', kind: 'zip', pack: zip('-0'), placement: 'range', inner: 'disk.img' },
  { name: 'zip of bzip2', kind: 'zip', pack: zip('-Z', 'bzip2'), placement: 'stream', inner: 'disk.img' },
  {
    name: 'zip64',
    kind: 'zip',
    pack: filter('python3', '-c', PYTHON_ZIP, '8'),
    placement: 'stream',
    inner: 'disk.img',
  },
  {
    name: 'stored zip64',
    kind: 'zip',
    pack: filter('python3', '-c', PYTHON_ZIP, '0'),
    placement: 'range',
    inner: 'disk.img',
  },
  { name: 'tar', kind: 'tar', pack: tar(), placement: 'range', inner: 'disk.img' },
  { name: 'tar of version 7', kind: 'tar', pack: tar('--format=v7'), placement: 'range', inner: 'disk.img' },
  { name: 'pax', kind: 'tar', pack: tar('--format=posix'), placement: 'range', inner: 'disk.img' },
  ...['gnu', 'posix'].map((format): Recipe => ({
    name: `${format} tar with holes`,
    kind: 'tar',
    pack: (content) => sparseTar(format, content),
    placement: 'pieces',
    inner: 'disk.img',
  })),
  ...['gnu', 'posix', 'ustar'].map((format): Recipe => ({
    name: `${format} tar with a long name`,
    kind: 'tar',
    pack: (content) =>
      archive('tar', ['-c', `--format=${format}`, LONG_NAME.split('/')[0] ?? ''], { [LONG_NAME]: content }),
    placement: 'range',
    inner: LONG_NAME,
  })),
];

describe.each(RECIPES)('$name', ({ kind, pack, placement, inner }) => {
  test.each([
    { name: 'a disk', content: GUEST },
    { name: 'zeros', content: new Uint8Array(3_000_000) },
    { name: 'noise', content: noise(400_000, 4) },
    { name: 'nothing', content: new Uint8Array(0) },
  ])('gives $name back', async ({ content }) => {
    const packed = await pack(content);
    expect(wrapperAtStart(packed)).toBe(kind);
    const found = await unwrapped(packed, kind);
    expect(Buffer.compare(found.bytes, content)).toBe(0);
    // zip stores what does not shrink, whatever it is asked for.
    if (content === GUEST) expect(found.placement).toBe(placement);
    expect(found.name).toBe(inner);
  });

  test('cut anywhere is an error', async () => {
    const packed = await pack(SMALL);
    const step = 1 + Math.floor(packed.length / 120);
    for (let cut = 0; cut < packed.length - 9 * 1024 * Number(kind === 'tar'); cut += step) {
      expect(['truncated', 'corrupt']).toContain(await codeOf(packed.subarray(0, cut), kind));
    }
  });

  test.each([
    { name: 'a byte', tail: Uint8Array.of(1) },
    { name: 'text', tail: new TextEncoder().encode('garbage behind the end\n'.repeat(200)) },
  ])('with $name behind it is an error', async ({ tail }) => {
    expect(['truncated', 'corrupt']).toContain(await codeOf(joined(await pack(SMALL), tail), kind));
  });

  test('changed anywhere ends in an ImageError, or gives bytes', async () => {
    const packed = await pack(SMALL);
    const at = fc.oneof(fc.nat(packed.length - 1), fc.nat(Math.min(600, packed.length - 1)));
    const change = fc.record({ at, value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const damaged = packed.slice();
        for (const { at: place, value } of changes) damaged[place] = value;
        expect(KNOWN).toContain(await codeOf(damaged, kind));
      }),
      { numRuns: 120 },
    );
  });
});

test.each([
  { kind: 'gz' as const, program: 'gzip' },
  { kind: 'zst' as const, program: 'zstd' },
  { kind: 'xz' as const, program: 'xz' },
  { kind: 'bz2' as const, program: 'bzip2' },
])('several $program streams are one', async ({ kind, program }) => {
  const packed = joined(await packedBy(program, ['-c'], SMALL), await packedBy(program, ['-c'], GUEST));
  expect(Buffer.compare((await unwrapped(packed, kind)).bytes, joined(SMALL, GUEST))).toBe(0);
});

test('a gzip header with a name, a comment, an extra field and a checksum is skipped', async () => {
  const packed = await packedBy('gzip', ['-cn'], SMALL);
  const header = [0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3, 2, 0, 7, 7, 0x61, 0, 0x62, 0];
  expect(
    Buffer.compare((await unwrapped(joined(Uint8Array.from(header), packed.subarray(10)), 'gz')).bytes, SMALL),
  ).toBe(0);
});

test('a skippable zstd frame is skipped', async () => {
  const skippable = joined(
    Uint8Array.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]),
    await packedBy('zstd', ['-c'], SMALL),
  );
  expect(Buffer.compare((await unwrapped(skippable, 'zst')).bytes, SMALL)).toBe(0);
});

describe('bombs', () => {
  const limits = { maxRatio: 100, ratioFreeBytes: 1_000_000 };
  const zeros = new Uint8Array(10_000_000);

  test.each([
    { kind: 'gz' as const, pack: filter('gzip', '-c') },
    { kind: 'xz' as const, pack: filter('xz', '-c') },
    { kind: 'bz2' as const, pack: filter('bzip2', '-c') },
    { kind: 'zst' as const, pack: filter('zstd', '-c') },
    { kind: 'zip' as const, pack: zip() },
  ])('$kind: above the ratio and above the size is unsafe, below both is fine', async ({ kind, pack }) => {
    const packed = await pack(zeros);
    expect(await codeOf(packed, kind, { limits })).toBe('unsafe');
    expect(await codeOf(packed, kind, { limits: { maxOutputBytes: zeros.length - 1 } })).toBe('unsafe');
    expect(await codeOf(packed, kind, { limits: { maxOutputBytes: zeros.length } })).toBe('none');
  });

  test('a zip that understates its size is stopped where it should end', async () => {
    const packed = await zip()(zeros);
    const directory = Buffer.from(packed).indexOf('PK\x01\x02');
    new DataView(packed.buffer).setUint32(directory + 24, 1000, true);
    expect(await codeOf(packed, 'zip')).toBe('corrupt');
  });
});

test('lz4 is named as what is not read', async () => {
  await expect(openWrapper(memorySource(new Uint8Array(9)), 'lz4')).rejects.toMatchObject({ code: 'unsupported' });
});

test('a signal stops the unpacking', async () => {
  const stop = new AbortController();
  stop.abort();
  const packed = await packedBy('gzip', ['-c'], SMALL);
  expect(await codeOf(packed, 'gz', { signal: stop.signal })).toBe('aborted');
});

describe('an archive of several files', () => {
  const files = { 'a.img': SMALL, 'b.img': GUEST };

  test.each([
    { kind: 'tar' as const, make: () => archive('tar', ['-c', 'a.img', 'b.img'], files) },
    { kind: 'zip' as const, make: () => archive('zip', ['-q', '-', 'a.img', 'b.img'], files) },
  ])('$kind: one must be named', async ({ kind, make }) => {
    const packed = await make();
    const opening = openWrapper(memorySource(packed), kind);
    await expect(opening).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/"a\.img", "b\.img"/),
    });
    expect(Buffer.compare((await unwrapped(packed, kind, { entry: 'b.img' })).bytes, GUEST)).toBe(0);
    expect(await codeOf(packed, kind, { entry: 'c.img' })).toBe('out_of_bounds');
  });

  test('clutter of macOS does not count', async () => {
    const packed = await archive('zip', ['-qr', '-', '.'], { 'disk.img': SMALL, '__MACOSX/._disk.img': noise(50, 1) });
    expect((await unwrapped(packed, 'zip')).name).toBe('disk.img');
  });
});

/** A record of less than 98 characters. */
function paxRecord(key: string, value: string): string {
  const text = ` ${key}=${value}\n`;
  return `${text.length + 2}${text}`;
}

describe.each(['gnu', 'posix'])('a file of very many holes in a %s tar', (format) => {
  const content = new Uint8Array(8192 * 300);
  for (let i = 0; i < 300; i++) content.fill(i, i * 8192, i * 8192 + 4096);
  let packed: Uint8Array;
  beforeAll(async () => {
    packed = await sparseTar(format, content);
  });

  test('is read', async () => {
    const found = await unwrapped(packed, 'tar');
    expect(found.placement).toBe('pieces');
    expect(Buffer.compare(found.bytes, content)).toBe(0);
  });

  test('is a source of its own, as a whole and in part', async () => {
    const opened = await openWrapper(memorySource(packed), 'tar');
    if (opened.placement !== 'pieces') throw new Error('it has holes');
    const whole = scatteredSource(memorySource(packed), opened);
    const windows = fc.tuple(fc.nat(content.length), fc.nat(content.length)).map((pair) => pair.sort((a, b) => a - b));
    await fc.assert(
      fc.asyncProperty(windows, fc.nat(8192), async ([from = 0, to = 0], skipped) => {
        const expected = content.subarray(from, to);
        expect(Buffer.compare(await readBytes(whole, from, to - from), expected)).toBe(0);
        const part = scatteredSource(memorySource(packed), partOfScattered(opened, { offset: from, size: to - from }));
        const start = Math.min(skipped, part.size);
        expect(Buffer.compare(await readBytes(part, start, part.size - start), expected.subarray(start))).toBe(0);
        const data = part.holes?.nextData(start);
        expect(expected.subarray(start, data?.start).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });
});

test.each([
  { name: 'another version', records: { major: '0', minor: '1', realsize: '9' }, map: '0\n', code: 'unsupported' },
  { name: 'a size that is none', records: { major: '1', minor: '0', realsize: '-1' }, map: '0\n', code: 'corrupt' },
  { name: 'too many pieces', records: PAX_SPARSE, map: '9999999\n', code: 'unsafe' },
  { name: 'a map that is cut off', records: PAX_SPARSE, map: '3\n0\n1\n', code: 'corrupt' },
  { name: 'a map of something else', records: PAX_SPARSE, map: 'x\n', code: 'corrupt' },
  { name: 'a number that never ends', records: PAX_SPARSE, map: '9'.repeat(512), code: 'corrupt' },
  { name: 'pieces that go back', records: PAX_SPARSE, map: '2\n5\n1\n0\n1\n', code: 'corrupt' },
  { name: 'a piece behind the end', records: PAX_SPARSE, map: '1\n9\n1\n', code: 'corrupt' },
  { name: 'pieces that are not stored', records: PAX_SPARSE, map: '1\n0\n9\n', code: 'corrupt' },
])('a sparse file of the pax format with $name is $code', async ({ records, map, code }) => {
  const header = Object.entries(records).map(([key, value]) => paxRecord(`GNU.sparse.${key}`, value));
  const content = new TextEncoder().encode(map.padEnd(512, '\0'));
  const packed = tarOf([
    { name: 'x', type: 'x', content: new TextEncoder().encode(header.join('')) },
    { name: 'disk.img', content },
  ]);
  expect(await codeOf(packed, 'tar')).toBe(code);
});

describe('a hostile archive', () => {
  const file = (name: string): Parameters<typeof tarOf>[0][number] => ({ name, content: SMALL });

  test.each([
    { name: 'an absolute name', members: [file('/etc/passwd')], code: 'unsafe' },
    { name: 'a way up', members: [file('a/../../b')], code: 'unsafe' },
    { name: 'a way up behind a dot', members: [file('./../b')], code: 'unsafe' },
    { name: 'a drive', members: [file('C:disk.img')], code: 'unsafe' },
    { name: 'a backslash', members: [file('a\\b')], code: 'unsafe' },
    { name: 'a control character', members: [file('a\nb')], code: 'unsafe' },
    {
      name: 'a folder outside',
      members: [file('a'), { name: '../b/', content: new Uint8Array(0), type: '5' }],
      code: 'unsafe',
    },
    { name: 'a symbolic link', members: [{ name: 'a', content: new Uint8Array(0), type: '2' }], code: 'unsafe' },
    { name: 'a hard link', members: [{ name: 'a', content: new Uint8Array(0), type: '1' }], code: 'unsafe' },
    { name: 'a device', members: [{ name: 'a', content: new Uint8Array(0), type: '3' }], code: 'unsafe' },
    { name: 'a map that does not add up', members: [{ name: 'a', content: SMALL, type: 'S' }], code: 'corrupt' },
    { name: 'a member of an unknown type', members: [{ name: 'a', content: SMALL, type: 'Q' }], code: 'unsupported' },
    { name: 'two files of one name', members: [file('a'), file('./a')], code: 'corrupt' },
    { name: 'a size of exabytes', members: [{ ...file('a'), size: '77777777777' }], code: 'truncated' },
    { name: 'a size that is none', members: [{ ...file('a'), size: 'nonsense' }], code: 'corrupt' },
  ])('with $name is $code', async ({ members, code }) => {
    expect(await codeOf(tarOf(members), 'tar')).toBe(code);
  });

  test('whose header was changed is corrupt', async () => {
    const bytes = tarOf([file('disk.img')]);
    bytes[3] = 0x41;
    expect(await codeOf(bytes, 'tar')).toBe('corrupt');
  });

  test('without its end is truncated', async () => {
    const bytes = tarOf([file('disk.img')]);
    expect(await codeOf(bytes.subarray(0, -1024), 'tar')).toBe('truncated');
  });

  test('of zip with a link is unsafe', async () => {
    await packedBy('zip', ['-v']);
    const packed = await inScratchFolder(async (folder) => {
      await symlink('/etc/passwd', join(folder, 'disk.img'));
      return packedBy('sh', ['-c', 'zip -qy out.zip disk.img && cat out.zip'], undefined, folder);
    });
    expect(await codeOf(packed, 'zip')).toBe('unsafe');
  });

  test('of zip with a name that leads out is unsafe', async () => {
    const packed = await archive('zip', ['-q', '-', 'aaaa.img'], { 'aaaa.img': SMALL });
    for (let at = packed.indexOf(0x61); at >= 0; at = packed.indexOf(0x61, at + 1)) {
      if (Buffer.from(packed).toString('latin1', at, at + 4) === 'aaaa') packed.set(Buffer.from('../a'), at);
    }
    expect(await codeOf(packed, 'zip')).toBe('unsafe');
  });

  test('of zip that is encrypted is refused', async () => {
    const packed = await archive('zip', ['-q', '-P', 'secret', '-', 'disk.img'], { 'disk.img': SMALL });
    await expect(openWrapper(memorySource(packed), 'zip')).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('encrypted'),
    });
  });
});

describe('an OVF package', () => {
  const one = [{ id: 'vmdisk1', name: 'disk1.vmdk', content: GUEST }];
  const two = [...one, { id: 'vmdisk2', name: 'disk2.vmdk', content: SMALL }];

  test('gives its disk as a part of the file', async () => {
    const found = await unwrapped(ovaOf(one), 'ova');
    expect(found).toMatchObject({ placement: 'range', name: 'disk1.vmdk' });
    expect(Buffer.compare(found.bytes, GUEST)).toBe(0);
  });

  test('of two disks gives the one that is named by file or id', async () => {
    const packed = ovaOf(two);
    const opening = openWrapper(memorySource(packed), 'ova');
    await expect(opening).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/disk1.*disk2/),
    });
    for (const entry of ['disk2.vmdk', 'vmdisk2']) {
      expect(Buffer.compare((await unwrapped(packed, 'ova', { entry })).bytes, SMALL)).toBe(0);
    }
    expect(await codeOf(packed, 'ova', { entry: 'box.ovf' })).toBe('out_of_bounds');
  });

  const ovf = ovfOf(one);

  const disk = { name: 'disk1.vmdk', content: GUEST };
  const descriptor = { name: 'box.ovf', content: ovf };

  test.each([
    { name: 'without a manifest', make: () => asTar(descriptor, disk), code: 'none' },
    {
      name: 'with a manifest of SHA1',
      make: () => ovaOf(one, 'sha1'),
      code: 'none',
    },
    {
      name: 'whose disk differs from its manifest',
      make: () => asTar(descriptor, { name: 'box.mf', content: sha256Line('disk1.vmdk', SMALL) }, disk),
      code: 'corrupt',
    },
    {
      name: 'whose manifest does not list the disk',
      make: () => asTar(descriptor, { name: 'box.mf', content: sha256Line('box.ovf', ovf) }, disk),
      code: 'corrupt',
    },
    {
      name: 'whose manifest lists a file that is missing',
      make: () => {
        const content = joined(sha256Line('disk1.vmdk', GUEST), sha256Line('gone.iso', GUEST));
        return asTar(descriptor, { name: 'box.mf', content }, disk);
      },
      code: 'corrupt',
    },
    {
      name: 'whose manifest is nonsense',
      make: () => asTar(descriptor, { name: 'box.mf', content: new TextEncoder().encode('hello') }, disk),
      code: 'corrupt',
    },
    { name: 'without its disk', make: () => asTar(descriptor), code: 'corrupt' },
    {
      name: 'whose disk has another size',
      make: () => asTar(descriptor, { name: 'disk1.vmdk', content: SMALL }),
      code: 'corrupt',
    },
    { name: 'without disks', make: () => asTar({ name: 'box.ovf', content: ovfOf([]) }), code: 'unsupported' },
    {
      name: 'of two descriptors',
      make: () => asTar(descriptor, { name: 'b.ovf', content: ovf }, disk),
      code: 'unsupported',
    },
    {
      name: 'whose disk lies elsewhere',
      make: () =>
        asTar({ name: 'box.ovf', content: ovfOf([{ id: 'a', name: '../disk1.vmdk', content: GUEST }]) }, disk),
      code: 'unsafe',
    },
    {
      name: 'whose disk is on the network',
      make: () =>
        asTar({ name: 'box.ovf', content: ovfOf([{ id: 'a', name: 'http://x/disk', content: GUEST }]) }, disk),
      code: 'unsafe',
    },
    {
      name: 'whose descriptor declares entities',
      make: () => {
        const text = new TextDecoder().decode(ovf).replace('?>', '?><!DOCTYPE a [<!ENTITY x "y">]>');
        return asTar({ name: 'box.ovf', content: new TextEncoder().encode(text) }, disk);
      },
      code: 'unsafe',
    },
    {
      name: 'whose descriptor is too long',
      make: () => asTar({ name: 'box.ovf', content: new Uint8Array(5 * 2 ** 20).fill(0x20) }, disk),
      code: 'unsafe',
    },
  ])('$name: $code', async ({ make, code }) => {
    expect(await codeOf(make(), 'ova')).toBe(code);
  });
});

describe('what the specification of a kind leaves open', () => {
  let packed: Uint8Array;
  beforeAll(async () => {
    packed = await packedBy('zstd', ['-c', '--no-check'], SMALL);
  });

  test('a zstd window above the limit is unsafe', async () => {
    const stream = await packedBy(
      'python3',
      ['-c', 'import sys;sys.stdout.buffer.write(sys.stdin.buffer.read())'],
      packed,
    );
    const header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff];
    expect(await codeOf(joined(Uint8Array.from(header), stream.subarray(9)), 'zst')).toBe('unsafe');
  });
});
