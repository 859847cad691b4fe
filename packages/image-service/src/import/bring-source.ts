import { localPath } from '../staging/source-url.ts';
import { reservedBytes } from './reserved-bytes.ts';
import type { ImportParts } from './stage-context.ts';
import type { ImportInput, Staged } from './state.ts';
import { isStaged } from './state.ts';

/** Where the bytes of an import are to lie, and how that is watched. */
export interface BroughtFile {
  /** To whom space is promised. */
  readonly owner: string;
  readonly to: string;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  readonly onBytes: (done: number, total: number) => void;
}

/** The bytes of an import, as they came. */
export interface BroughtSource extends Pick<Staged, 'source_host' | 'described'> {
  readonly sizeBytes: number;
}

/** Brings the bytes of an import in, by the way that it was asked for. */
export async function bringSource<T>(
  parts: ImportParts<T>,
  input: ImportInput,
  file: BroughtFile,
): Promise<BroughtSource> {
  const { staging } = parts;
  if (isStaged(input.import_method)) return staging.adopt(localPath(input.import_from), file.to);
  if (input.import_method !== 'web-download') {
    const { owner, ...copy } = file;
    return staging.bringIn(owner, { from: localPath(input.import_from), ...copy });
  }
  const { signal, maxBytes, onBytes } = file;
  const download = await parts.download.open(input.import_from, { signal, maxBytes, onBytes });
  if (download.sizeBytes !== undefined) await staging.reserve(file.owner, download.sizeBytes);
  const expected = download.sizeBytes === undefined ? {} : { expectedBytes: download.sizeBytes };
  const reserved = { imageId: input.image_id, kind: 'stagedBytes', ...expected } as const;
  const { sizeBytes } = await staging.receive(file.to, reservedBytes(parts.catalog, download.bytes, reserved));
  return { sizeBytes, ...(download.publicHost === undefined ? {} : { source_host: download.publicHost }) };
}
