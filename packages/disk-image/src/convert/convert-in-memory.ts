import type { MemorySink } from '../bytes/byte-source.ts';
import { memorySink, memorySource } from '../bytes/byte-source.ts';
import { assert } from '../errors.ts';
import { denyReferences } from '../image/reference.ts';
import type { ImageConversion } from './convert-image.ts';
import { convertImage } from './convert-image.ts';
import { inlineLanes } from './digest.ts';
import { clippedImage, verifyContent } from './verify.ts';

/** What to convert into memory. */
export type InMemoryConversion = Omit<ImageConversion, 'sinkOf' | 'fileName'> & { readonly fileName?: string };

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
  const fileName = request.fileName ?? `disk.${request.target.name}`;
  const sinks = new Map<string, MemorySink>();
  const sinkOf: ImageConversion['sinkOf'] = (file) => {
    const sink = memorySink();
    sinks.set(file.name === '' ? fileName : file.name, sink);
    return sink;
  };
  const { contentId } = await convertImage({ ...request, fileName, sinkOf });
  assert(contentId !== undefined, 'a conversion of one thread digests');
  const files = new Map([...sinks].map(([name, sink]) => [name, sink.bytes()]));
  if (files.size === 1) await verify(request, files.get(fileName) ?? new Uint8Array(), contentId);
  return { files, contentId };
}

async function verify(request: InMemoryConversion, bytes: Uint8Array, contentId: string): Promise<void> {
  const { source, target, codecs, onProgress, signal } = request;
  const written = await target.open?.(memorySource(bytes), { codecs, references: denyReferences });
  if (written === undefined) return;
  const { virtualSize } = source;
  const lanes = inlineLanes({ source: clippedImage(written, virtualSize), targets: [], codecs });
  await verifyContent(
    written,
    { contentId, virtualSize },
    {
      codecs,
      lanes,
      shared: false,
      now: () => performance.now(),
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    },
  );
}
