import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commitLayer, memorySource, openChain, rebaseLayer } from '../src/index.ts';
import type { DiskImage, GrantedReference, GuestWriter, OpenContext, WritableImageFile } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import { raw } from '../src/formats/raw/raw.ts';
import { changeAndCut, context, editor, expectClean, guestOf, sameBytes } from './qcow2-edit-driver.ts';
import { golden, GOLDENS, makeGolden } from './qcow2-golden.ts';
import type { Peer } from './qcow2-peer.ts';
import { noise, openPeer, readAll, testCodecs } from './qcow2-peer.ts';
import type { RecordedFile } from './write-recorder.ts';
import { recordedFile, seededRandom } from './write-recorder.ts';

let peer: Peer;
beforeAll(async () => {
  peer = await openPeer();
});
afterAll(() => peer.close());

const PORTS = { now: () => 0 };

async function openGuest(file: WritableImageFile): Promise<GuestWriter> {
  const writer = await editor().openGuest?.(file, context);
  if (writer === undefined) throw new Error('qcow2 can be written');
  return writer;
}

/** Opens `bytes` with the files of `others` below it. */
async function openStack(bytes: Uint8Array, others: Readonly<Record<string, Uint8Array>>): Promise<DiskImage> {
  const references = async ({ name }: { readonly name: string }): Promise<GrantedReference> => {
    const found = others[name];
    if (found === undefined) throw new Error(`no file ${name}`);
    return { source: memorySource(found), references, identity: name };
  };
  const stack: OpenContext = { codecs: testCodecs, references };
  return openChain(await openLayer(bytes), stack, async (source, hint) => {
    const opened = await (hint === 'raw' ? raw : qcow2).open?.(source, stack);
    if (opened === undefined) throw new Error('both can be opened');
    return opened;
  });
}

async function openLayer(bytes: Uint8Array): Promise<DiskImage> {
  const opened = await qcow2.open?.(memorySource(bytes), context);
  if (opened === undefined) throw new Error('qcow2 can be opened');
  return opened;
}

async function writeRandomly(file: WritableImageFile, model: Uint8Array, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const writer = await openGuest(file);
  const units = Math.ceil(writer.virtualSize / writer.unitSize);
  for (let step = 0; step < 25 && units > 0; step++) {
    const first = Math.floor(random() * units);
    const count = 1 + Math.floor(random() * Math.min(90, units - first));
    const offset = first * writer.unitSize;
    const length = Math.min(writer.virtualSize, offset + count * writer.unitSize) - offset;
    if (random() < 0.3) {
      await writer.zero(offset, length);
      model.fill(0, offset, offset + length);
    } else {
      const bytes = noise(length, step + 1);
      await writer.write(offset, bytes);
      model.set(bytes, offset);
    }
  }
  await writer.finish();
}

describe('random whole clusters against a byte array', () => {
  test.each(GOLDENS.map((recipe) => [recipe.name, recipe] as const))('%s', async (name, recipe) => {
    let start = await makeGolden(peer, recipe);
    if (!recipe.options.includes('refcount_bits=1')) {
      await peer.img(['snapshot', '-c', 'kept', 'disk.qcow2']);
      start = await peer.read('disk.qcow2');
    }
    const model = await guestOf(start);
    const file = await recordedFile(start);
    await writeRandomly(file, model, name.length);
    expect(sameBytes(await guestOf(file.bytes()), model)).toBe(true);
    await expectClean(peer, file.bytes());
  });
});

describe('a cut while clusters are written leaves every cluster old or new', () => {
  const names = ['version 3', 'version 2', '512 byte clusters', 'zlib', 'extended L2'];
  test.each(names)('%s', async (name) => {
    const recipe = golden(name);
    await makeGolden(peer, recipe);
    await peer.img(['snapshot', '-c', 'kept', 'disk.qcow2']);
    const start = await peer.read('disk.qcow2');
    const before = await guestOf(start);
    const after = before.slice();
    const unit = recipe.options.includes('512') ? 512 : 65536;
    const written = noise(8 * unit, 9);
    after.set(written, unit);
    after.fill(0, 12 * unit, 14 * unit);
    await changeAndCut(
      peer,
      start,
      async (file) => {
        const writer = await openGuest(file);
        await writer.write(unit, written);
        await writer.zero(12 * unit, 2 * unit);
        await writer.finish();
      },
      {
        allowed: async (bytes) => {
          const guest = await guestOf(bytes);
          const mixed: number[] = [];
          for (let at = 0; at < guest.length; at += unit) {
            const part = guest.subarray(at, at + unit);
            const isOld = sameBytes(part, before.subarray(at, at + unit));
            if (!isOld && !sameBytes(part, after.subarray(at, at + unit))) mixed.push(at);
          }
          expect(mixed).toEqual([]);
        },
      },
    );
  });
});

async function makeOverlay(options: string): Promise<{ readonly base: Uint8Array; readonly top: Uint8Array }> {
  await peer.img(['create', '-q', '-f', 'qcow2', '-o', options, 'base.qcow2', '3M']);
  const compressed = options.includes('2M') ? [] : ['write -c -P 3 2560k 64k'];
  await peer.io('base.qcow2', ['write -P 1 0 1M', 'write -P 2 2M 300k', ...compressed]);
  const backed = ['-b', 'base.qcow2', '-F', 'qcow2'];
  await peer.img(['create', '-q', '-f', 'qcow2', ...backed, 'top.qcow2', '3M']);
  await peer.io('top.qcow2', ['write -P 7 100k 200k', 'write -z 600k 200k', 'write -P 8 2500k 200k']);
  return { base: await peer.read('base.qcow2'), top: await peer.read('top.qcow2') };
}

async function commitInto(base: RecordedFile, top: Uint8Array): Promise<void> {
  await commitLayer(
    {
      layer: await openLayer(top),
      chain: await openStack(top, { 'base.qcow2': base.bytes().slice() }),
      base: await openGuest(base),
      codecs: testCodecs,
    },
    PORTS,
  );
}

describe('commit', () => {
  test.each(['compat=1.1', 'compat=0.10', 'cluster_size=4k', 'cluster_size=2M'])('into %s', async (options) => {
    const { base, top } = await makeOverlay(options);
    const before = await readAll(await openStack(top, { 'base.qcow2': base }));
    const file = await recordedFile(base);
    await commitInto(file, top);
    await expectClean(peer, file.bytes());
    expect(sameBytes(await guestOf(file.bytes()), before)).toBe(true);
  });

  test('what the layer shows is the same at every cut, and the layer can be emptied', async () => {
    const { base, top } = await makeOverlay('cluster_size=4k');
    const before = await readAll(await openStack(top, { 'base.qcow2': base }));
    const committed = await changeAndCut(
      peer,
      base,
      async (file) => {
        const chain = await openStack(top, { 'base.qcow2': base });
        const request = { layer: await openLayer(top), chain, base: await openGuest(file), codecs: testCodecs };
        await commitLayer(request, PORTS);
      },
      {
        allowed: async (bytes) => {
          const shown = await readAll(await openStack(top, { 'base.qcow2': bytes }));
          expect(sameBytes(shown, before)).toBe(true);
        },
        effort: { samples: 30, peerSamples: 4 },
      },
    );
    const emptied = await changeAndCut(peer, top, (file) => editor().empty?.(file) ?? Promise.reject());
    const shown = await readAll(await openStack(emptied.bytes(), { 'base.qcow2': committed.bytes() }));
    expect(sameBytes(shown, before)).toBe(true);
    for await (const extent of (await openLayer(emptied.bytes())).extents({ offset: 0, length: before.length })) {
      expect(extent.state).toBe('absent');
    }
  });

  test('into a smaller image is refused', async () => {
    const { base, top } = await makeOverlay('compat=1.1');
    const file = await recordedFile(base);
    await editor().resize?.(file, { virtualSize: 2 ** 20, shrink: 'allow', preallocation: 'off' });
    await expect(commitInto(file, top)).rejects.toMatchObject({ code: 'out_of_bounds' });
  });
});

describe('rebase', () => {
  test.each([true, false])(
    'the guest sees the same above another backing image (%s: there is one)',
    async (hasNext) => {
      const { base, top } = await makeOverlay('compat=1.1');
      await peer.img(['create', '-q', '-f', 'qcow2', 'next.qcow2', '2M']);
      await peer.io('next.qcow2', ['write -P 1 0 512k', 'write -P 4 1M 1M']);
      const next = await peer.read('next.qcow2');
      const files = { 'base.qcow2': base, 'next.qcow2': next };
      const before = await readAll(await openStack(top, files));
      const backing = hasNext ? ({ kind: 'backing', name: 'next.qcow2', format: 'qcow2' } as const) : undefined;
      const rebased = await changeAndCut(
        peer,
        top,
        async (file) => {
          const nextBacking = hasNext ? await openStack(next, {}) : undefined;
          const chain = await openStack(top, files);
          const writer = await openGuest(file);
          await rebaseLayer({ layer: await openLayer(top), chain, nextBacking, writer, codecs: testCodecs }, PORTS);
          await editor().changeBacking?.(file, backing);
        },
        {
          allowed: async (bytes) => expect(sameBytes(await readAll(await openStack(bytes, files)), before)).toBe(true),
          effort: { samples: 30, peerSamples: 4 },
        },
      );
      const { info } = await openLayer(rebased.bytes());
      expect(info.backing).toEqual(backing);
      await peer.write('rebased.qcow2', rebased.bytes());
      await peer.write('shown.raw', before);
      await peer.img(['compare', '-f', 'raw', 'shown.raw', '-F', 'qcow2', 'rebased.qcow2']);
    },
  );
});

describe('changing the backing name', () => {
  const long = `${'d/'.repeat(450)}x.qcow2`;
  test.each(['compat=1.1', 'compat=0.10', 'cluster_size=512', 'cluster_size=4k'])('%s', async (options) => {
    await peer.img(['create', '-q', '-f', 'qcow2', '-o', options, 'plain.qcow2', '1M']);
    let bytes = await peer.read('plain.qcow2');
    for (const name of ['a.raw', options.includes('512') ? 'b' : long, 'c'.repeat(100), undefined]) {
      const backing = name === undefined ? undefined : ({ kind: 'backing', name, format: 'raw' } as const);
      const change = (file: WritableImageFile): Promise<void> =>
        editor().changeBacking?.(file, backing) ?? Promise.reject();
      const file = await changeAndCut(peer, bytes, change, { effort: { samples: 20, peerSamples: 3 } });
      expect((await openLayer(file.bytes())).info.backing).toEqual(backing);
      bytes = new Uint8Array(file.bytes());
      await peer.write('plain.qcow2', bytes);
      const info = JSON.parse(await peer.img(['info', '--output=json', 'plain.qcow2'])) as Record<string, unknown>;
      expect(info['backing-filename']).toBe(name);
      expect(info['backing-filename-format']).toBe(name === undefined ? undefined : 'raw');
    }
  });

  test('a name that no single write can switch is refused, and nothing is changed', async () => {
    await peer.img(['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'plain.qcow2', '1M']);
    const file = await recordedFile(await peer.read('plain.qcow2'));
    const backing = { kind: 'backing', name: 'n'.repeat(500) } as const;
    await expect(editor().changeBacking?.(file, backing)).rejects.toMatchObject({ code: 'unsupported' });
    expect(file.calls).toEqual([]);
  });
});
