import { describe, expect, test } from 'vitest';
import type { ByteSink, Format, GivenOptions, MemorySink } from '../index.ts';
import {
  convertImage,
  denyReferences,
  findFormat,
  formats,
  memorySink,
  memorySource,
  portableCodecs as codecs,
} from '../index.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const DISK_SIZE = 40 * MiB + 1536;

/** Subformats that lay out their data in another way; the default is always tried. */
const VARIANTS: Readonly<Record<string, readonly GivenOptions[]>> = {
  qcow2: [{ cluster_size: '256k' }, { extended_l2: 'on' }, { preallocation: 'metadata' }, { compression: 'zlib' }],
  vmdk: [{ subformat: 'monolithicFlat' }, { subformat: 'twoGbMaxExtentSparse' }, { subformat: 'streamOptimized' }],
  vhdx: [{ subformat: 'fixed' }],
  vhd: [{ subformat: 'fixed' }],
  vdi: [{ static: 'on' }],
};
const CASES = formats
  .filter((format) => format.writer !== undefined)
  .flatMap((format) => [{}, ...(VARIANTS[format.name] ?? [])].map((options) => ({ format, options })))
  .map(({ format, options }) => [format.name, JSON.stringify(options), format, options] as const);

interface Range {
  readonly start: number;
  readonly end: number;
}

/** A file that grows when space is reserved, and knows what was reserved and where guest bytes were written. */
interface ReservingFile {
  readonly sink: MemorySink;
  readonly reserved: Range[];
  /** Writes of 128 KiB and more. */
  readonly written: Range[];
}

function reservingFile(): ReservingFile {
  const [reserved, written]: [Range[], Range[]] = [[], []];
  const sink = memorySink();
  return {
    reserved,
    written,
    sink: {
      ...sink,
      reserve(offset, length) {
        reserved.push({ start: offset, end: offset + length });
        if (offset + length > sink.bytes().length) void sink.truncate(offset + length);
      },
      async write(offset, bytes) {
        if (bytes.length >= 128 * KiB) written.push({ start: offset, end: offset + bytes.length });
        await sink.write(offset, bytes);
      },
    },
  };
}

/** 20 MiB of data and some more, with holes. */
function guest(): Uint8Array {
  const bytes = new Uint8Array(DISK_SIZE);
  bytes.fill(1, 100 * KiB, 17 * MiB);
  bytes.fill(2, 20 * MiB + 512, 23 * MiB);
  bytes.fill(3, 30 * MiB, 30 * MiB + 8 * KiB);
  bytes.fill(4, DISK_SIZE - 5);
  return bytes;
}

/** Converts the disk; `make` makes each file of the target. Returns the files. */
async function convertInto<File extends { readonly sink: ByteSink }>(
  make: () => File,
  { target, options }: { readonly target: Format; readonly options: GivenOptions },
): Promise<File[]> {
  const files: File[] = [];
  const source = await findFormat('raw')?.open?.(memorySource(guest()), { codecs, references: denyReferences });
  if (source === undefined) throw new Error('raw images can be read');
  const sinkOf = (): ByteSink => {
    const file = make();
    files.push(file);
    return file.sink;
  };
  await convertImage({ source, target, options, fileName: 'disk', codecs, sinkOf });
  return files;
}

describe.each(CASES)('%s %s, where space is reserved ahead', (_name, _options, format, options) => {
  test('becomes the same files, though they grew ahead', async () => {
    const plain = await convertInto(() => ({ sink: memorySink() }), { target: format, options });
    const files = await convertInto(reservingFile, { target: format, options });
    expect(files.length).toBe(plain.length);
    for (const [index, { sink }] of files.entries()) {
      expect(Buffer.compare(sink.bytes(), plain[index]?.sink.bytes() ?? new Uint8Array())).toBe(0);
    }
  });
});

const BIG_WRITES = CASES.filter(
  ([, , , options]) => !('compression' in options) && options['subformat'] !== 'streamOptimized',
);

test.each(BIG_WRITES)(
  '%s %s: guest bytes are written to space that was reserved',
  async (_name, _options, format, options) => {
    const files = await convertInto(reservingFile, { target: format, options });
    const [guestWrites, outside] = [files.flatMap(({ written }) => written), files.flatMap(notReserved)];
    expect(guestWrites.length).toBeGreaterThan(10);
    // What is left are tables.
    expect(outside.reduce((sum, { start, end }) => sum + end - start, 0)).toBeLessThan(2 * MiB);
  },
);

function notReserved({ written, reserved }: ReservingFile): Range[] {
  return written.filter(({ start, end }) => {
    let at = start;
    for (const range of reserved) if (range.start <= at && range.end > at) at = range.end;
    return at < end;
  });
}

test('what is compressed takes its space when it is written', async () => {
  const target = findFormat('qcow2');
  if (target === undefined) throw new Error('qcow2 is a format');
  const files = await convertInto(reservingFile, { target, options: { compression: 'zlib' } });
  expect(files.flatMap(({ reserved }) => reserved)).toEqual([]);
});
