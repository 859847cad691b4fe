import type { ByteSource } from '../../bytes/byte-source.ts';
import { qcow2Error } from './qcow2-error.ts';

/**
 * A table of big-endian u64 entries as 32-bit words in the machine's own order: the entry i is
 * `words[2 * i]` (high) and `words[2 * i + 1]` (low).
 */
export type TableWords = Uint32Array;

/**
 * The table of `sizeBytes` bytes at `hostOffset`; the caller has checked the size against a limit.
 * Throws `truncated` when the file ends before its end.
 */
export async function readTableWords(
  source: ByteSource,
  place: { readonly structure: string; readonly hostOffset: number; readonly sizeBytes: number },
  signal?: AbortSignal,
): Promise<TableWords> {
  if (place.hostOffset + place.sizeBytes > source.size) {
    throw qcow2Error(
      'truncated',
      `The ${place.structure} at byte ${place.hostOffset} leaves the file, which ends at ${source.size}`,
      { structure: place.structure, offset: place.hostOffset },
    );
  }
  const words = new Uint32Array(place.sizeBytes / 4);
  const bytes = new Uint8Array(words.buffer);
  await source.read(place.hostOffset, bytes, signal);
  const view = new DataView(words.buffer);
  for (let i = 0; i < words.length; i++) words[i] = view.getUint32(i * 4);
  return words;
}
