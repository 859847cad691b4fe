import type { ProgressListener } from '@diskmorph/disk-image';
import { formats, ImageError, inspect } from '@diskmorph/disk-image';
import {
  convertFile,
  extractImage,
  inspectFile,
  inspectPacked,
  nodeCodecs,
  openUnwrittenFile,
  packedAs,
  planFileConversion,
  requireFormat,
  verifyFile,
} from '@diskmorph/disk-image-node';
import type { ImageTools, ToolConversion, ToolWork } from './image-tools.ts';

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
    openInFormat: openUnwrittenFile,
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
      return { virtualSize, spaceBytes: Math.ceil(guestBytes * (1 + METADATA_SHARE)) + METADATA_BYTES };
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
    checkOptions,
  };
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
  const { writer } = requireFormat(format);
  if (writer === undefined) throw new ImageError('unsupported', `${format} images cannot be written`);
  const layout = writer.layout({ virtualSize: PROBE_SIZE, options, fileName: 'disk', seed: new Uint8Array(16) });
  if (layout.files.some((file) => file.name !== '')) {
    throw new ImageError('unsupported', 'This subformat is made of several files; an image in a store is one file');
  }
}
