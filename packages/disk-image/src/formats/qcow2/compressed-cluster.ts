import type { Codecs } from '../../bytes/codecs.ts';
import { ImageError } from '../../errors.ts';
import type { ClusterMapping } from './cluster-mapping.ts';
import { compressedSpan } from './cluster-mapping.ts';
import type { CompressedSpan } from './l2-entry.ts';
import type { L2Table } from './l2-table.ts';
import { MAX_COMPRESSED_SPAN } from './limits.ts';
import { qcow2Error } from './qcow2-error.ts';

/** Reads runs of compressed clusters; keeps its buffers from call to call. */
export interface CompressedReader {
  /**
   * Fills `into` with the guest bytes from `guestOffset` on, all of them in compressed clusters of `table`.
   * Throws `corrupt` (a stream that does not give one cluster), `truncated` (the same where the file ends inside it).
   */
  read(table: L2Table, guestOffset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** A reader for the clusters of `mapping`. Calls may overlap. */
export function compressedReader(mapping: ClusterMapping, codecs: Codecs): CompressedReader {
  const { clusterSize, l2Coverage } = mapping.geometry;
  let spare: Uint8Array | undefined;
  const partial = { cluster: -1, bytes: new Uint8Array(0) };

  const place = (cluster: number, guestOffset: number, into: Uint8Array): void => {
    const start = Math.max(cluster * clusterSize, guestOffset);
    const end = Math.min((cluster + 1) * clusterSize, guestOffset + into.length);
    const within = partial.bytes.subarray(start - cluster * clusterSize, end - cluster * clusterSize);
    into.set(within, start - guestOffset);
  };

  const decode = (cluster: number, input: Uint8Array, guestOffset: number, into: Uint8Array): boolean => {
    const start = cluster * clusterSize - guestOffset;
    if (start >= 0 && start + clusterSize <= into.length) {
      return (
        codecs.decompress(mapping.geometry.compression, input, into.subarray(start, start + clusterSize)) ===
        clusterSize
      );
    }
    if (partial.bytes.length === 0) partial.bytes = new Uint8Array(clusterSize);
    partial.cluster = -1;
    if (codecs.decompress(mapping.geometry.compression, input, partial.bytes) !== clusterSize) return false;
    partial.cluster = cluster;
    place(cluster, guestOffset, into);
    return true;
  };

  return {
    async read(table, guestOffset, into, signal) {
      const firstOfTable = Math.floor((guestOffset - (guestOffset % l2Coverage)) / clusterSize);
      const last = Math.floor((guestOffset + into.length - 1) / clusterSize);
      let cluster = Math.floor(guestOffset / clusterSize);
      if (partial.cluster === cluster) place(cluster++, guestOffset, into);
      while (cluster <= last) {
        const group = gatherSpans(mapping, table, cluster - firstOfTable, last - firstOfTable);
        // Taken for the time of the read, so that an overlapping call gets a buffer of its own.
        const buffer = spare !== undefined && spare.length >= group.length ? spare : new Uint8Array(group.length);
        spare = undefined;
        await mapping.data.read(group.hostOffset, buffer.subarray(0, group.length), signal);
        for (const span of group.spans) {
          const at = span.hostOffset - group.hostOffset;
          const input = buffer.subarray(at, at + span.length);
          decodeOrThrow(mapping, span, () => decode(cluster, input, guestOffset, into));
          cluster++;
        }
        spare = buffer;
      }
    },
  };
}

interface SpanGroup {
  readonly hostOffset: number;
  readonly length: number;
  readonly spans: readonly CompressedSpan[];
}

/** Compressed clusters `first` to at most `last` of the table that lie one after another, so that one read gets them. */
function gatherSpans(mapping: ClusterMapping, table: L2Table, first: number, last: number): SpanGroup {
  const start = compressedSpan(mapping, table, first);
  const spans = [start];
  let end = start.hostOffset + start.length;
  for (let index = first + 1; index <= last; index++) {
    const span = compressedSpan(mapping, table, index);
    const spanEnd = span.hostOffset + span.length;
    if (span.hostOffset < start.hostOffset || span.hostOffset > end) break;
    if (Math.max(end, spanEnd) - start.hostOffset > MAX_COMPRESSED_SPAN) break;
    end = Math.max(end, spanEnd);
    spans.push(span);
  }
  return { hostOffset: start.hostOffset, length: end - start.hostOffset, spans };
}

function decodeOrThrow(mapping: ClusterMapping, span: CompressedSpan, decode: () => boolean): void {
  let cause: unknown;
  try {
    if (decode()) return;
  } catch (error) {
    if (!(error instanceof ImageError) || error.code !== 'corrupt') throw error;
    cause = error;
  }
  const cut = span.hostOffset + span.length === mapping.data.size;
  throw qcow2Error(
    cut ? 'truncated' : 'corrupt',
    cut
      ? 'The file ends inside a compressed cluster'
      : `The compressed cluster at byte ${span.hostOffset} does not give one cluster of data`,
    { structure: 'compressed cluster', offset: span.hostOffset, cause },
  );
}
