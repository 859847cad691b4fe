import { memorySink, memorySource } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Format, GivenOptions } from '../image/format.ts';
import { denyReferences } from '../image/reference.ts';
import { convert } from './convert.ts';
import { inlineLanes } from './digest.ts';
import { planConversion } from './plan.ts';
import type { ProgressListener } from './progress.ts';
import { memoryRunSpool } from './run-spool.ts';
import { clippedImage, verifyContent } from './verify.ts';

/** What to convert within one thread. */
export interface InMemoryConversion {
  readonly source: DiskImage;
  readonly target: Format;
  readonly options?: GivenOptions;
  readonly fileName?: string;
  readonly codecs: Codecs;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** The files of a finished image by name; the image's own file has the name that was asked for. */
export interface InMemoryResult {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly contentId: string;
}

/**
 * Converts into memory: for browsers and tests, for images that fit. The result of one file is read back and its content
 * id compared with the source's. Throws as reading and writing do, and `corrupt` when the result differs.
 */
export async function convertInMemory(request: InMemoryConversion): Promise<InMemoryResult> {
  const { source, target, codecs } = request;
  const fileName = request.fileName ?? `disk.${target.name}`;
  const common = {
    codecs,
    shared: false,
    now: () => performance.now(),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(request.onProgress === undefined ? {} : { onProgress: request.onProgress }),
  };
  const { plan, map } = await planConversion({ ...common, source, target, options: request.options ?? {}, fileName });
  const sinks = plan.layout.files.map(() => memorySink());
  const encoder = appends(plan.layout.files) ? target.writer?.encoder(plan.layout, codecs) : undefined;
  const lanes = inlineLanes({ source, sinks, encoder, codecs });
  const result = await convert(plan, target, { ...common, map, sinks, lanes, spool: memoryRunSpool(), digest: true });
  assert(result.contentId !== undefined, 'a digest was asked for');
  const files = new Map(
    plan.layout.files.map((file, i) => [file.name || fileName, sinks[i]?.bytes() ?? new Uint8Array()]),
  );
  const own = files.get(fileName);
  if (files.size === 1 && own !== undefined && target.open !== undefined) {
    const written = await target.open(memorySource(own), { codecs, references: denyReferences });
    const clipped = clippedImage(written, source.virtualSize);
    const verifyLanes = inlineLanes({ source: clipped, sinks: [], encoder: undefined, codecs });
    const expected = { contentId: result.contentId, virtualSize: source.virtualSize };
    await verifyContent(written, expected, { ...common, lanes: verifyLanes });
  }
  return { files, contentId: result.contentId };
}

function appends(files: readonly { readonly placement: string; readonly guestLength: number }[]): boolean {
  return files.some((file) => file.placement === 'append' && file.guestLength > 0);
}
