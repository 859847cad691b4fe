import type { ByteSink } from '../bytes/byte-source.ts';
import { checkInside } from '../bytes/byte-source.ts';
import { ImageError } from '../errors.ts';

/** Bytes that can be written and read at any position. What was never written reads as zeros. */
export interface ReadableSink extends ByteSink {
  /** Length in bytes so far. */
  readonly size: number;
  /** Fills all of `into` from `offset`, or throws `truncated`. */
  read(offset: number, into: Uint8Array): Promise<void>;
}

const PAGE_SIZE = 4096;

/** A file in memory that takes space only where something other than zeros was written; `io` beyond `maxBytes` of it. */
export function sparseMemory(maxBytes: number = 2 ** 30): ReadableSink {
  const pages = new Map<number, Uint8Array>();
  let size = 0;
  const pageFor = (index: number): Uint8Array => {
    const known = pages.get(index);
    if (known !== undefined) return known;
    if ((pages.size + 1) * PAGE_SIZE > maxBytes) throw new ImageError('io', `More than ${maxBytes} bytes are needed`);
    const page = new Uint8Array(PAGE_SIZE);
    pages.set(index, page);
    return page;
  };
  const clear = (offset: number, length: number): void => {
    for (const { index, from, to } of pagesOf(offset, length)) pages.get(index)?.fill(0, from, to);
    size = Math.max(size, offset + length);
  };
  return {
    get size() {
      return size;
    },
    async write(offset, bytes) {
      for (const { index, from, to, at } of pagesOf(offset, bytes.length)) {
        const part = bytes.subarray(at, at + to - from);
        if (pages.has(index) || part.some((byte) => byte !== 0)) pageFor(index).set(part, from);
      }
      size = Math.max(size, offset + bytes.length);
    },
    async zero(offset, length) {
      clear(offset, length);
    },
    async truncate(newSize) {
      if (newSize < size) {
        for (const index of pages.keys()) if (index * PAGE_SIZE >= newSize) pages.delete(index);
        pages.get(Math.floor(newSize / PAGE_SIZE))?.fill(0, newSize % PAGE_SIZE);
      }
      size = newSize;
    },
    async read(offset, into) {
      checkInside(size, offset, into.length);
      for (const { index, from, to, at } of pagesOf(offset, into.length)) {
        const page = pages.get(index);
        if (page === undefined) into.fill(0, at, at + to - from);
        else into.set(page.subarray(from, to), at);
      }
    },
    async flush() {},
    async close() {},
  };
}

interface PagePart {
  readonly index: number;
  /** The part of the page. */
  readonly from: number;
  readonly to: number;
  /** Where it begins in the whole range. */
  readonly at: number;
}

function* pagesOf(offset: number, length: number): Generator<PagePart> {
  for (let at = 0; at < length;) {
    const index = Math.floor((offset + at) / PAGE_SIZE);
    const from = offset + at - index * PAGE_SIZE;
    const to = Math.min(PAGE_SIZE, from + length - at);
    yield { index, from, to, at };
    at += to - from;
  }
}
