import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { despiteCoarseClock } from '../../../fixtures/coarse-clock.ts';
import type { Extent, ImageReference, ReferencePolicy } from '../src/index.ts';
import { memorySource } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { golden, GOLDENS, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { mixedGuest, noise, openBytes, openPeer, readAll } from './qcow2-peer.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

async function peerRaw(image: string, more: readonly string[] = []): Promise<Uint8Array> {
  await peer.img(['convert', '-f', 'qcow2', '-O', 'raw', ...more, image, 'peer.raw']);
  return peer.read('peer.raw');
}

interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
}

describe('guest bytes are those of qemu-img', () => {
  test.each(GOLDENS.map((recipe) => [recipe.name, recipe] as const))('%s', async (_name, recipe) => {
    const image = await openBytes(await makeGolden(peer, recipe));
    const expected = await peerRaw('disk.qcow2');
    for (const pieceLength of [262_144, 100_003, 777]) {
      expect(Buffer.compare(await readAll(image, pieceLength), expected)).toBe(0);
    }
  });

  test('many reads at once do not disturb each other', async () => {
    const image = await openBytes(await makeGolden(peer, golden('zstd')));
    const expected = await peerRaw('disk.qcow2');
    const parts = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const part = new Uint8Array(30_000);
        await image.read(i * 7001, part);
        return Buffer.compare(part, expected.subarray(i * 7001, i * 7001 + part.length));
      }),
    );
    expect(parts.every((difference) => difference === 0)).toBe(true);
  });

  test.each(['zlib', 'zstd'])('a compressed disk of noise and text, converted by qemu-img: %s', async (type) => {
    const guest = mixedGuest(5_000_192);
    await peer.write('guest.raw', guest);
    for (const size of ['512', '64k', '2M']) {
      const options = `compression_type=${type},cluster_size=${size}`;
      await peer.img(['convert', '-c', '-O', 'qcow2', '-o', options, 'guest.raw', 'compressed.qcow2']);
      const image = await openBytes(await peer.read('compressed.qcow2'));
      expect(Buffer.compare(await readAll(image), guest)).toBe(0);
    }
  });
});

describe('the map is that of qemu-img', () => {
  test.each(GOLDENS.filter((recipe) => recipe.sizeBytes > 0).map((recipe) => [recipe.name, recipe] as const))(
    '%s',
    async (_name, recipe) => {
      const image = await openBytes(await makeGolden(peer, recipe));
      const map = JSON.parse(await peer.img(['map', '--output=json', 'disk.qcow2'])) as MapEntry[];
      const states = new Map<number, boolean>();
      for (const entry of map) states.set(entry.start, entry.data);
      const ours = new Map<number, boolean>();
      let last: boolean | undefined;
      for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
        const isData = extent.state === 'data';
        if (isData !== last) ours.set(extent.offset, isData);
        last = isData;
      }
      const peerChanges = [...states].filter(([, data], i, all) => i === 0 || all[i - 1]?.[1] !== data);
      expect([...ours]).toEqual(peerChanges);
    },
  );
});

test('a zero cluster hides the backing file, an unallocated one does not', async () => {
  const image = await openBytes(await makeGolden(peer, golden('extended L2')));
  const states: Extent['state'][] = [];
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) states.push(extent.state);
  expect(new Set(states)).toEqual(new Set(['absent', 'data', 'zero']));
});

describe('snapshots', () => {
  test('are listed, and each is read by id or name at its own size', async () => {
    const bytes = await makeGolden(peer, golden('snapshots and a bitmap'));
    const { info } = await openBytes(bytes);
    expect(info.snapshots).toMatchObject([
      { id: '1', name: 'first', virtualSize: 3 * 2 ** 20, vmStateSize: 0 },
      { id: '2', name: 'second', virtualSize: 4 * 2 ** 20, vmStateSize: 0 },
    ]);
    for (const [name, size] of [
      ['1', 3 * 2 ** 20],
      ['first', 3 * 2 ** 20],
      ['second', 4 * 2 ** 20],
    ] as const) {
      const image = await openBytes(bytes, { snapshot: name });
      expect(image.virtualSize).toBe(size);
      const id = name === 'second' ? '2' : '1';
      const expected = await peerRaw('disk.qcow2', ['-l', `snapshot.id=${id}`]);
      expect(Buffer.compare(await readAll(image), expected.subarray(0, size))).toBe(0);
    }
  });

  test('keep what the disk held when they were taken', async () => {
    await peer.img(['create', '-q', '-f', 'qcow2', 'disk.qcow2', '1M']);
    await peer.io('disk.qcow2', ['write -P 1 0 128k']);
    await peer.img(['snapshot', '-c', 'before', 'disk.qcow2']);
    await peer.io('disk.qcow2', ['write -P 2 0 64k']);
    const bytes = await peer.read('disk.qcow2');
    const now = await readAll(await openBytes(bytes));
    const before = await readAll(await openBytes(bytes, { snapshot: 'before' }));
    expect([now[0], now[65536], before[0], before[65536]]).toEqual([2, 1, 1, 1]);
  });

  test('one that does not exist is out of bounds', async () => {
    const bytes = await makeGolden(peer, golden('version 3'));
    await expect(openBytes(bytes, { snapshot: 'none' })).rejects.toMatchObject({ code: 'out_of_bounds' });
  });
});

async function external(options: string): Promise<Uint8Array> {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', `data_file=data.raw${options}`, 'disk.qcow2', '1M']);
  await peer.io('disk.qcow2', ['write -P 5 64k 130k', 'write -P 6 1023k 1k']);
  return peer.read('disk.qcow2');
}

function grant(asked: ImageReference[], data: Uint8Array): ReferencePolicy {
  const policy: ReferencePolicy = async (reference) => {
    asked.push(reference);
    return { source: memorySource(data), references: policy, identity: reference.name };
  };
  return policy;
}

describe('external data files', () => {
  test.each(['', ',data_file_raw=on'])('are read when a policy grants them (%s)', async (options) => {
    const bytes = await external(options);
    const asked: ImageReference[] = [];
    const image = await openBytes(bytes, { references: grant(asked, await peer.read('data.raw')) });
    expect(asked).toEqual([{ kind: 'data-file', name: 'data.raw', format: 'raw' }]);
    expect(Buffer.compare(await readAll(image), await peerRaw('disk.qcow2'))).toBe(0);
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      expect(extent.hostFile).toBe(extent.state === 'data' ? 'data.raw' : undefined);
    }
  });

  test('are refused by default', async () => {
    await expect(openBytes(await external(''))).rejects.toMatchObject({ code: 'unsafe' });
  });

  test('a short one is truncated, never zeros', async () => {
    const bytes = await external('');
    const data = (await peer.read('data.raw')).subarray(0, 100_000);
    const image = await openBytes(bytes, { references: grant([], data) });
    await expect(readAll(image)).rejects.toMatchObject({ code: 'truncated' });
  });
});

describe('what a header says is reported', () => {
  test('a backing file with its format, not opened', async () => {
    await peer.img(['create', '-q', '-f', 'raw', 'base.raw', '1M']);
    await peer.img(['create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'disk.qcow2']);
    const image = await openBytes(await peer.read('disk.qcow2'));
    expect(image.info.backing).toEqual({ kind: 'backing', name: 'base.raw', format: 'raw' });
  });

  test('bitmaps and header extensions', async () => {
    const bytes = await makeGolden(peer, golden('snapshots and a bitmap'));
    const { info, findings } = await qcow2.examine(memorySource(bytes));
    expect(info.details['bitmaps']).toEqual([{ name: 'dirty0', granularity: 4096, flags: ['auto'] }]);
    expect(info.details['header-extensions']).toEqual([{ type: '0x23852875', name: 'bitmaps', length: 24 }]);
    expect(findings.map((finding) => finding.code)).toEqual(['snapshots', 'bitmaps']);
  });

  test('bitmaps that an older program made outdated, whatever their directory holds', async () => {
    const bytes = await makeGolden(peer, golden('snapshots and a bitmap'));
    bytes[95] = 0;
    const { findings } = await qcow2.examine(memorySource(bytes));
    expect(findings.map((finding) => finding.code)).toEqual(['snapshots', 'bitmaps', 'bitmaps-inconsistent']);
    expect((await openBytes(bytes)).info.details).not.toHaveProperty('bitmaps');
  });

  test.each([
    ['AES', ['-o', 'encryption=on,encrypt.key-secret=s']],
    ['LUKS', ['-o', 'encrypt.format=luks,encrypt.iter-time=10,encrypt.key-secret=s']],
  ])('encryption by its name: %s', async (name, options) => {
    const secret = ['--object', 'secret,id=s,data=abcd'];
    const create = ['create', '-q', '-f', 'qcow2', ...secret, ...options, 'disk.qcow2', '1M'];
    await despiteCoarseClock(() => peer.img(create));
    const bytes = await peer.read('disk.qcow2');
    const { info, findings } = await qcow2.examine(memorySource(bytes));
    expect(info.encryption).toBe(name);
    expect(findings[0]).toMatchObject({ code: 'encrypted', severity: 'unsafe' });
    await expect(openBytes(bytes)).rejects.toThrow(name);
  });

  test('lazy refcounts', async () => {
    const bytes = await makeGolden(peer, golden('lazy refcounts'));
    const { info, findings } = await qcow2.examine(memorySource(bytes));
    expect(info.details['lazy-refcounts']).toBe(true);
    expect(findings.map((finding) => finding.code)).toEqual(['lazy-refcounts']);
  });
});

test('a compressed cluster whose last sector lies beyond the end of the file is read', async () => {
  await peer.write(
    'guest.raw',
    Uint8Array.from({ length: 65536 }, (_, i) => i % 90),
  );
  await peer.img(['convert', '-c', '-O', 'qcow2', 'guest.raw', 'compressed.qcow2']);
  const bytes = await peer.read('compressed.qcow2');
  let end = bytes.length;
  while (bytes[end - 1] === 0) end--;
  expect(Buffer.compare(await readAll(await openBytes(bytes.subarray(0, end))), await peer.read('guest.raw'))).toBe(0);
  const cut = await openBytes(bytes.subarray(0, end - 4));
  await expect(readAll(cut)).rejects.toMatchObject({ code: 'truncated' });
});

test('every truncation of an image is noticed or harmless, never zeros', async () => {
  const guest = noise(300_032, 5);
  await peer.write('guest.raw', guest);
  await peer.img(['convert', '-O', 'qcow2', '-o', 'cluster_size=4k', 'guest.raw', 'whole.qcow2']);
  const bytes = await peer.read('whole.qcow2');
  for (let length = 0; length < bytes.length; length += 4099) {
    await expect(openBytes(bytes.subarray(0, length)).then(readAll)).rejects.toMatchObject({
      code: expect.stringMatching(/^(truncated|wrong_format)$/),
    });
  }
});
