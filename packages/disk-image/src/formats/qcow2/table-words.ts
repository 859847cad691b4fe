import type { ByteSource } from '../../bytes/byte-source.ts';
import { qcow2Error } from './qcow2-error.ts';

/**
 * A table of big-endian u64 entries as 32-bit words in the machine's own order: the entry i is
 * `words[2 * i]` (high) and `words[2 * i + 1]` (low).
 */
export type TableWords = Uint32Array;

/** Where a table lies in its file, and what it is called in messages. */
export interface TablePlace {
  readonly structure: string;
  readonly hostOffset: number;
  readonly sizeBytes: number;
}

/**
 * The table of `sizeBytes` bytes at `hostOffset`; the caller has checked the size against a limit.
 * Throws `truncated` when the file ends before its end.
 */
export async function readTableWords(source: ByteSource, place: TablePlace, signal?: AbortSignal): Promise<TableWords> {
  return readTableInto(new Uint32Array(place.sizeBytes / 4), source, place, signal);
}

/** As `readTableWords`, into `words`, which are as long as the table. */
export async function readTableInto(
  words: TableWords,
  source: ByteSource,
  place: TablePlace,
  signal?: AbortSignal,
): Promise<TableWords> {
  if (place.hostOffset + place.sizeBytes > source.size) {
    throw qcow2Error(
      'truncated',
      `The ${place.structure} at byte ${place.hostOffset} leaves the file, which ends at ${source.size}`,
      { structure: place.structure, offset: place.hostOffset },
    );
  }
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  await source.read(place.hostOffset, bytes, signal);
  const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
  for (let i = 0; i < words.length; i++) words[i] = view.getUint32(i * 4);
  return words;
}
