import path from 'node:path';
import type { DiskImage, GivenOptions, ImageReference } from '@diskmorph/disk-image';
import { convert, inlineLanes, memoryRunSpool, planConversion } from '@diskmorph/disk-image';
import { openFileSink } from './file-sink.ts';
import { requireFormat } from './image-file.ts';
import { encoderFor } from './layout-encoder.ts';
import { nodeCodecs } from './native-codecs.ts';
import { placeToWork, refuseExisting } from './work-directory.ts';

/** An image of zeros to be made. */
export interface NewImageFile {
  readonly path: string;
  readonly format: string;
  /** Bytes of the guest disk. */
  readonly virtualSize: number;
  readonly options?: GivenOptions;
  /** Replace what is at the path; false when absent. */
  readonly overwrite?: boolean;
  /** The image that it is to stand on and then shows, in the words of its header. It is not opened. */
  readonly backing?: ImageReference;
  /** Changes the finished image at `path` before it gets its name. */
  readonly adjust?: (path: string) => Promise<void>;
}

/**
 * Makes an image whose guest bytes are zeros; it appears under its name when it is whole, and is written where it is when
 * that is a block device. Returns the files it has.
 */
export async function createImageFile(request: NewImageFile): Promise<readonly string[]> {
  const format = requireFormat(request.format);
  const source = emptyDisk(request.virtualSize);
  const fileName = path.basename(request.path);
  const over = request.backing === undefined ? {} : { over: { reference: request.backing, base: source } };
  const target = { format, options: request.options ?? {}, fileName, ...over };
  const { plan, map } = await planConversion({ source, targets: [target], shared: false });
  const layout = plan.targets[0]?.layout;
  if (layout === undefined) throw new Error('assertion failed: the plan has a target');
  const names = [...layout.files.map((file) => file.name).filter((name) => name !== ''), fileName];
  const finalPaths = names.map((name) => path.join(path.dirname(request.path), name));
  if (request.overwrite !== true) await refuseExisting(finalPaths);
  const directory = await placeToWork(request.path);
  try {
    const sinks = layout.files.map((file) => openFileSink(directory.pathOf(file.name || fileName), 'the image'));
    const codecs = nodeCodecs();
    const base = request.backing === undefined ? {} : { base: source };
    const targets = [{ format, sinks, spool: memoryRunSpool(), encoder: encoderFor(layout), ...base }];
    try {
      const lanes = inlineLanes({ source, targets, codecs });
      await convert(plan, { map, targets, codecs, lanes, shared: false, digest: true, now: () => performance.now() });
    } finally {
      for (const sink of sinks) await sink.close();
    }
    await request.adjust?.(directory.pathOf(fileName));
    await directory.commit(names, path.dirname(request.path), 'flushed');
  } finally {
    await directory.remove();
  }
  return finalPaths;
}

function emptyDisk(virtualSize: number): DiskImage {
  return {
    info: { format: 'raw', virtualSize, references: [], dirty: false, corrupt: false, snapshots: [], details: {} },
    virtualSize,
    async *extents({ offset, length }) {
      if (length > 0) yield { offset, length, state: 'zero', compressed: false };
    },
    async read(_offset, into) {
      into.fill(0);
    },
    async close() {},
  };
}
