import type { ByteSink } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';

const BUFFER_SIZE = 2 ** 20;

/** Puts clusters one after another behind the guest data, in large writes. */
export interface TableAppender {
  /** Byte offset of the next cluster. */
  readonly position: number;
  /** Adds the bytes, a whole number of clusters, and returns the offset where they begin. */
  append(bytes: Uint8Array): Promise<number>;
  /** Writes what is still in memory. */
  flush(): Promise<void>;
}

/** An appender from `start` on, which is the start of a cluster. */
export function tableAppender(sink: ByteSink, start: number, clusterSize: number): TableAppender {
  const buffer = new Uint8Array(Math.max(BUFFER_SIZE, clusterSize));
  let flushed = start;
  let used = 0;
  const flush = async (): Promise<void> => {
    if (used > 0) await sink.write(flushed, buffer.subarray(0, used));
    flushed += used;
    used = 0;
  };
  return {
    get position() {
      return flushed + used;
    },
    async append(bytes) {
      assert(bytes.length % clusterSize === 0, 'tables are whole clusters');
      const offset = flushed + used;
      for (let at = 0; at < bytes.length;) {
        if (used === buffer.length) await flush();
        const length = Math.min(bytes.length - at, buffer.length - used);
        buffer.set(bytes.subarray(at, at + length), used);
        used += length;
        at += length;
      }
      return offset;
    },
    flush,
  };
}
