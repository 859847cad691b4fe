/** Every writable format onto a device: bytes that were there before, and a size that stays. */
import { expect, test } from 'vitest';
import type { ByteSink, DiskImage, Format, GivenOptions } from '../src/index.ts';
import {
  convertImage,
  denyReferences,
  findFormat,
  formats,
  ImageError,
  memorySource,
  portableCodecs as codecs,
  PROBE_HEAD_SIZE,
  PROBE_TAIL_SIZE,
} from '../src/index.ts';
import { checkInside } from '../src/bytes/byte-source.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const DISK_SIZE = 9 * MIB + 300;
const OLD_BYTE = 0xaa;

/** A device full of old bytes; `onWrite` is called after each change. */
function device(size: number, onWrite: (bytes: Uint8Array) => void = () => {}): ByteSink & { bytes: Uint8Array } {
  const bytes = new Uint8Array(size).fill(OLD_BYTE);
  const change = (offset: number, length: number, apply: () => void): void => {
    checkInside(size, offset, length);
    apply();
    onWrite(bytes);
  };
  return {
    bytes,
    deviceSize: size,
    write: async (offset, data) => change(offset, data.length, () => bytes.set(data, offset)),
    zero: async (offset, length) => change(offset, length, () => bytes.fill(0, offset, offset + length)),
    truncate: async (length) => checkInside(size, 0, length),
    flush: async () => {},
    close: async () => {},
  };
}

function guest(): Uint8Array {
  const bytes = new Uint8Array(DISK_SIZE);
  bytes.fill(1, 0, 100 * KIB);
  bytes.fill(2, 3 * MIB + 512, 3 * MIB + 1024);
  bytes.fill(3, DISK_SIZE - 5);
  return bytes;
}

async function rawDisk(bytes: Uint8Array): Promise<DiskImage> {
  const opened = await findFormat('raw')?.open?.(memorySource(bytes), { codecs, references: denyReferences });
  if (opened === undefined) throw new Error('raw images can be read');
  return opened;
}

async function write(target: Format, options: GivenOptions, sink: ByteSink): Promise<void> {
  const source = await rawDisk(guest());
  await convertImage({ source, target, options, fileName: 'device', codecs, sinkOf: () => sink });
}

const CASES: readonly (readonly [name: string, options: GivenOptions])[] = [
  ['raw', {}],
  ['qcow2', {}],
  ['qcow2', { compression: 'zlib' }],
  ['qcow2', { preallocation: 'metadata' }],
  ['qcow2', { preallocation: 'full', cluster_size: '512' }],
  ['vmdk', {}],
  ['vhd', {}],
  ['vhdx', { block_size: '2M' }],
  ['vhdx', { subformat: 'fixed', block_size: '1M' }],
  ['vdi', {}],
  ['vdi', { static: 'on' }],
];

function formatNamed(name: string): Format {
  const found = findFormat(name);
  if (found === undefined) throw new Error(`${name} is a format`);
  return found;
}

test.each(CASES)('%s with %j on a device shows nothing of what was there', async (name, options) => {
  const format = formatNamed(name);
  const sink = device(40 * MIB);
  await write(format, options, sink);
  const image = await format.open?.(memorySource(sink.bytes), { codecs, references: denyReferences });
  const found = new Uint8Array(DISK_SIZE);
  await image?.read(0, found);
  expect(Buffer.compare(found, guest())).toBe(0);
  const rest = new Uint8Array((image?.virtualSize ?? 0) - DISK_SIZE);
  if (name !== 'raw') {
    await image?.read(DISK_SIZE, rest);
    expect(rest.every((byte) => byte === 0)).toBe(true);
  }
});

test('what lies behind a raw disk on its device stays', async () => {
  const sink = device(40 * MIB);
  await write(formatNamed('raw'), {}, sink);
  expect(sink.bytes.subarray(DISK_SIZE).every((byte) => byte === OLD_BYTE)).toBe(true);
});

function looksLikeImage(bytes: Uint8Array): boolean {
  const size = bytes.length;
  const input = { size, head: bytes.subarray(0, PROBE_HEAD_SIZE), tail: bytes.subarray(size - PROBE_TAIL_SIZE) };
  return formats.some((format) => format.name !== 'raw' && format.probe(input));
}

/** An old image at the beginning, and one that is found by the end of the file. */
async function oldImages(sink: { readonly bytes: Uint8Array }): Promise<void> {
  const headed = device(40 * MIB);
  await write(formatNamed('qcow2'), {}, headed);
  sink.bytes.set(headed.bytes.subarray(0, MIB));
  const size = 10 * MIB;
  const disk = await rawDisk(new Uint8Array(size));
  const footed = device(size + 512);
  await convertImage({
    source: disk,
    target: formatNamed('vhd'),
    options: { subformat: 'fixed', force_size: 'on' },
    fileName: 'device',
    codecs,
    sinkOf: () => footed,
  });
  sink.bytes.set(footed.bytes.subarray(-512), sink.bytes.length - 512);
}

test.each(CASES.filter(([name]) => name !== 'raw'))(
  'a device that is being made %s with %j does not look like an image before the last writes',
  async (name, options) => {
    const states: boolean[] = [];
    const sink = device(40 * MIB, (bytes) => states.push(looksLikeImage(bytes)));
    await oldImages(sink);
    await write(formatNamed(name), options, sink);
    expect(states.indexOf(false)).toBeLessThanOrEqual(1);
    // A VHD has its footer twice.
    expect(states.length - 1 - states.lastIndexOf(false)).toBe(name === 'vhd' ? 2 : 1);
  },
);

test.each<readonly [string, GivenOptions, number, string, RegExp]>([
  ['raw', {}, 9 * MIB, 'io', /device has 9437184 bytes, and the image needs 9437484/],
  ['qcow2', { preallocation: 'full' }, 9 * MIB, 'io', /too small/],
  ['qcow2', { preallocation: 'metadata' }, 9 * MIB, 'io', /too small/],
  ['vhdx', {}, MIB, 'io', /too small/],
  ['vdi', { static: 'on' }, 9 * MIB, 'io', /too small/],
  ['vhd', { subformat: 'fixed' }, 40 * MIB, 'unsupported', /end of the image/],
  ['vmdk', { subformat: 'streamOptimized' }, 40 * MIB, 'unsupported', /end of the image/],
  ['vmdk', { subformat: 'monolithicFlat' }, 40 * MIB, 'unsupported', /several files/],
])('%s with %j onto a device of %i bytes fails as %s before anything is written', async (...given) => {
  const [name, options, size, code, message] = given;
  const sink = device(size);
  const failure = await write(formatNamed(name), options, sink).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ImageError);
  expect(failure).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(sink.bytes.every((byte) => byte === OLD_BYTE)).toBe(true);
});
