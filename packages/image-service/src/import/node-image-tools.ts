import type { ByteSource, ProgressListener, TargetLayout } from '@diskmorph/disk-image';
import { formats, ImageError, inspect } from '@diskmorph/disk-image';
import type { UnwrittenFile } from '@diskmorph/disk-image-node';
import {
  convertFile,
  descriptorSource,
  extractImage,
  inspectFile,
  inspectPacked,
  nodeCodecs,
  openUnwrittenFile,
  packedAs,
  planFileConversion,
  requireFormat,
  verifyFile,
  windowedReads,
} from '@diskmorph/disk-image-node';
import type { FormatOrder, FormatWork, ImageInFormat, ImageTools, ToolConversion, ToolWork } from './image-tools.ts';
import type { StoredData } from './stored-data.ts';

/** Metadata of a result, above its guest bytes: at most this share of them, and this many bytes. */
const METADATA_SHARE = 0.02;
const METADATA_BYTES = 4 * 2 ** 20;
/** A disk small enough that any layout is made at once; for checking options. */
const PROBE_SIZE = 2 ** 20;

/** The tools of this machine. `threads`: for one conversion; undefined lets the machine decide. */
export function nodeImageTools(threads: number | undefined): ImageTools {
  return {
    readable: formats.filter((format) => format.open !== undefined).map((format) => format.name),
    inspect: (path, { declared, maxVirtualSize, signal }) =>
      inspectFile(path, {
        limits: { maxVirtualSize },
        ...(declared === undefined ? {} : { declared }),
        ...(signal === undefined ? {} : { signal }),
      }),
    openInFormat,
    inspectSource: (source, { declared, fileName, maxVirtualSize }) =>
      inspect(source, {
        codecs: nodeCodecs(),
        formats,
        limits: { maxVirtualSize },
        ...(fileName === undefined ? {} : { fileName }),
        ...(declared === undefined ? {} : { declared }),
      }),
    isPacked: async (path) => (await packedAs(path)) !== undefined,
    inspectPacked(path, { entry, directory, maxVirtualSize, signal }) {
      const cancelled = signal === undefined ? {} : { signal };
      const unwrap = { directory, ...chosen(entry), ...cancelled };
      return inspectPacked(path, { limits: { maxVirtualSize }, unwrap, ...cancelled });
    },
    unpack: (from, to, { entry, maxBytes, maxRatio, signal, onBytes }) =>
      extractImage(from, to, {
        ...chosen(entry),
        limits: { maxOutputBytes: maxBytes, ...(maxRatio === undefined ? {} : { maxRatio }) },
        ...(signal === undefined ? {} : { signal }),
        ...(onBytes === undefined
          ? {}
          : { onProgress: ({ consumedBytes, totalBytes }) => onBytes(consumedBytes, totalBytes) }),
      }),
    async forecast(conversion, work) {
      const plan = await planFileConversion({ ...fileConversion(conversion), ...watched(work, threads) });
      const { virtualSize } = plan.source;
      const { preallocation = 'off' } = conversion.target.options;
      const guestBytes = ['off', 'metadata'].includes(preallocation) ? plan.bytesToRead : virtualSize;
      return {
        virtualSize,
        spaceBytes: Math.ceil(guestBytes * (1 + METADATA_SHARE)) + METADATA_BYTES,
        leastBytes: leastFileBytes(plan.layout),
      };
    },
    async convert(conversion, work) {
      const report = await convertFile({
        ...fileConversion(conversion),
        ...watched(work, threads),
        verify: false,
        overwrite: true,
        checkpoint: { path: work.checkpointDir },
      });
      const { contentId, virtualSize, resumedFromBytes } = report;
      if (contentId === undefined) throw new Error('assertion failed: a conversion gives a content id');
      return { contentId, virtualSize, resumedFromBytes };
    },
    async verify(file, expected, work) {
      await verifyFile(file, expected, watched(work, threads));
    },
    leastBytes: (target, virtualSize) => leastFileBytes(emptyLayout(target, virtualSize)),
    checkOptions,
  };
}

/** Everything before guest bytes is there in any case, and guest bytes that have their places have them all. */
function leastFileBytes({ files }: TargetLayout): number {
  const own = files.find((file) => file.name === '');
  if (own === undefined) return 0;
  return own.hostOffset + (own.placement === 'fixed' ? own.guestLength : 0);
}

function emptyLayout({ format, options }: Omit<ToolConversion['target'], 'path'>, virtualSize: number): TargetLayout {
  const { writer } = requireFormat(format);
  if (writer === undefined) throw new ImageError('unsupported', `${format} images cannot be written`);
  return writer.layout({ virtualSize, options, fileName: 'disk', seed: new Uint8Array(16) });
}

async function openInFormat(
  { source, ...order }: FormatOrder,
  { signal, onBytes, room }: FormatWork,
): Promise<ImageInFormat> {
  const file = await openUnwrittenFile({
    ...order,
    source: 'fd' in source ? descriptorSource(source.fd, 'The image') : inWindows(source),
    room,
    ...watched(
      { ...(signal === undefined ? {} : { signal }), ...(onBytes === undefined ? {} : { onBytes }) },
      undefined,
    ),
  });
  return { planned: file.planned, alive: true, read: (range) => piecesOf(file, range), close() {} };
}

function inWindows({ sizeBytes, read }: StoredData): ByteSource {
  return windowedReads(sizeBytes, async (offset, length) => {
    const pieces: Uint8Array[] = [];
    for await (const piece of read({ offset, length })) pieces.push(piece);
    const [first] = pieces;
    const whole = first?.length === length ? first : Buffer.concat(pieces);
    if (whole.length !== length) throw new ImageError('truncated', 'The stored data ends early', { offset });
    return whole;
  });
}

/** Bytes that are made at once. */
const PIECE_SIZE = 512 * 1024;

async function* piecesOf(
  file: UnwrittenFile,
  { offset, length }: { readonly offset: number; readonly length: number },
): AsyncGenerator<Uint8Array> {
  const end = offset + length;
  for (let position = offset; position < end; position += PIECE_SIZE) {
    const piece = new Uint8Array(Math.min(PIECE_SIZE, end - position));
    await file.read(position, piece);
    yield piece;
  }
}

function chosen(entry: string | null): { readonly entry?: string } {
  return entry === null ? {} : { entry };
}

function fileConversion({ source, target }: ToolConversion): {
  readonly source: { readonly path: string; readonly format: string };
  readonly target: {
    readonly path: string;
    readonly format: string;
    readonly options: Readonly<Record<string, string>>;
  };
} {
  return { source, target };
}

function watched(
  work: ToolWork,
  threads: number | undefined,
): { readonly signal?: AbortSignal; readonly onProgress?: ProgressListener; readonly workers?: number } {
  const { signal, onBytes } = work;
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(onBytes === undefined ? {} : { onProgress: ({ bytesDone, bytesTotal }) => onBytes(bytesDone, bytesTotal) }),
    ...(threads === undefined ? {} : { workers: threads }),
  };
}

function checkOptions(format: string, options: Readonly<Record<string, string>>): void {
  const layout = emptyLayout({ format, options }, PROBE_SIZE);
  if (layout.files.some((file) => file.name !== '')) {
    throw new ImageError('unsupported', 'This subformat is made of several files; an image in a store is one file');
  }
}
