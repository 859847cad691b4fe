/** A digest over the bytes of a file, as `md5sum` and its like print it. */
export type ChecksumName = (typeof checksumNames)[number];

/** Those that can be asked for. */
export const checksumNames = ['md5', 'sha1', 'sha256', 'sha512'] as const;

/** Digests of one file in hexadecimal. */
export type Checksums = { readonly [name in ChecksumName]?: string };

/** What a thread that digests is started with; plain data and shared memory. */
export interface ChecksumWork {
  readonly path: string;
  readonly name: ChecksumName;
  readonly memory: SharedArrayBuffer;
}

/** What is final of a file, in memory that threads share. */
export interface ChecksumSpan {
  set(end: number, state: 'growing' | 'whole' | 'stopped'): void;
  /** Sleeps until more than `done` bytes are final and says how many; `done` when there will never be more. */
  waitBeyond(done: number): number;
  isStopped(): boolean;
}

const STATE = 0;
const GROWING = 0;
const WHOLE = 1;
const STOPPED = 2;
const CHANGES = 1;
const END_AT = 8;
/** Bytes of memory that a span needs. */
export const SPAN_BYTES: number = 16;

/** The span in memory of `SPAN_BYTES`. */
export function checksumSpan(memory: SharedArrayBuffer): ChecksumSpan {
  const words = new Int32Array(memory, 0, 2);
  const ends = new Float64Array(memory, END_AT, 1);
  return {
    set(end, state) {
      ends[0] = end;
      Atomics.store(words, STATE, state === 'growing' ? GROWING : state === 'whole' ? WHOLE : STOPPED);
      Atomics.add(words, CHANGES, 1);
      Atomics.notify(words, CHANGES);
    },
    waitBeyond(done) {
      for (;;) {
        const changes = Atomics.load(words, CHANGES);
        const state = Atomics.load(words, STATE);
        const end = ends[0] ?? 0;
        if (state === STOPPED) return done;
        if (end > done || state === WHOLE) return Math.max(end, done);
        Atomics.wait(words, CHANGES, changes);
      }
    },
    isStopped: () => Atomics.load(words, STATE) === STOPPED,
  };
}
