import path from 'node:path';
import type { DiskImage, GivenOptions } from '@diskmorph/disk-image';
import { convert, inlineLanes, memoryRunSpool, planConversion } from '@diskmorph/disk-image';
import { openFileSink } from './file-sink.ts';
import { requireFormat } from './image-file.ts';
import { encoderFor } from './layout-encoder.ts';
import { nodeCodecs } from './native-codecs.ts';
import { refuseExisting, temporaryWorkDirectory } from './work-directory.ts';

/** An image of zeros to be made. */
export interface NewImageFile {
  readonly path: string;
  readonly format: string;
  /** Bytes of the guest disk. */
  readonly virtualSize: number;
  readonly options?: GivenOptions;
  /** Replace what is at the path; false when absent. */
  readonly overwrite?: boolean;
  /** Changes the finished image at `path` before it gets its name. */
  readonly adjust?: (path: string) => Promise<void>;
}

/** Makes an image whose guest bytes are zeros; it appears under its name when it is whole. Returns the files it has. */
export async function createImageFile(request: NewImageFile): Promise<readonly string[]> {
  const format = requireFormat(request.format);
  const source = emptyDisk(request.virtualSize);
  const fileName = path.basename(request.path);
  const target = { format, options: request.options ?? {}, fileName };
  const { plan, map } = await planConversion({ source, targets: [target], shared: false });
  const layout = plan.targets[0]?.layout;
  if (layout === undefined) throw new Error('assertion failed: the plan has a target');
  const names = [...layout.files.map((file) => file.name).filter((name) => name !== ''), fileName];
  const finalPaths = names.map((name) => path.join(path.dirname(request.path), name));
  if (request.overwrite !== true) await refuseExisting(finalPaths);
  const directory = await temporaryWorkDirectory(request.path);
  try {
    const sinks = layout.files.map((file) => openFileSink(directory.pathOf(file.name || fileName), 'the image'));
    const codecs = nodeCodecs();
    const targets = [{ format, sinks, spool: memoryRunSpool(), encoder: encoderFor(layout) }];
    try {
      const lanes = inlineLanes({ source, targets, codecs });
      await convert(plan, { map, targets, codecs, lanes, shared: false, digest: true, now: () => performance.now() });
    } finally {
      for (const sink of sinks) await sink.close();
    }
    await request.adjust?.(directory.pathOf(fileName));
    await directory.commit(names, path.dirname(request.path));
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
