import { memorySink } from '../src/index.ts';
import type { ByteSource, WritableImageFile } from '../src/index.ts';
import { checkInside } from '../src/bytes/byte-source.ts';

/** One call of a sink, in order. */
export type RecordedCall =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'flush' };

/** An image file in memory that remembers every call of its sink. */
export interface RecordedFile extends WritableImageFile {
  readonly start: Uint8Array;
  readonly calls: readonly RecordedCall[];
  bytes(): Uint8Array;
}

/** A file that holds a copy of `start`. */
export async function recordedFile(start: Uint8Array): Promise<RecordedFile> {
  const sink = memorySink();
  await sink.write(0, start);
  const calls: RecordedCall[] = [];
  const source: ByteSource = {
    get size() {
      return sink.bytes().length;
    },
    async read(offset, into) {
      checkInside(sink.bytes().length, offset, into.length);
      into.set(sink.bytes().subarray(offset, offset + into.length));
    },
    async close() {},
  };
  return {
    source,
    sink: {
      async write(offset, bytes) {
        calls.push({ kind: 'write', offset, bytes: bytes.slice() });
        await sink.write(offset, bytes);
      },
      async zero(offset, length) {
        calls.push({ kind: 'zero', offset, length });
        await sink.zero(offset, length);
      },
      async truncate(size) {
        calls.push({ kind: 'truncate', size });
        await sink.truncate(size);
      },
      async flush() {
        calls.push({ kind: 'flush' });
      },
      async close() {},
    },
    start: start.slice(),
    calls,
    bytes: () => sink.bytes(),
  };
}

/** What a crash leaves: the calls that reached the disk. */
export interface CrashState {
  readonly label: string;
  readonly bytes: Uint8Array;
}

const SECTOR = 512;

/**
 * The file after every prefix of the calls, and, for `samples` prefixes, with a part of what came after the last flush
 * lost: whole calls and single sectors of writes, chosen by `random` (numbers from 0 to 1).
 */
export async function* crashStates(
  file: RecordedFile,
  samples: number,
  random: () => number,
): AsyncGenerator<CrashState> {
  for (let end = 0; end <= file.calls.length; end++) {
    yield { label: `after ${end} of ${file.calls.length} calls`, bytes: await replay(file, file.calls.slice(0, end)) };
  }
  for (let sample = 0; sample < samples; sample++) {
    const end = 1 + Math.floor(random() * file.calls.length);
    const flushed = file.calls.slice(0, end).findLastIndex((call) => call.kind === 'flush') + 1;
    const unsure = file.calls.slice(flushed, end).flatMap(splitSectors);
    const kept = shuffled(
      unsure.filter(() => random() < 0.5),
      random,
    );
    const calls = [...file.calls.slice(0, flushed), ...kept];
    yield { label: `after ${end} calls, ${kept.length} of ${unsure.length} kept`, bytes: await replay(file, calls) };
  }
}

function splitSectors(call: RecordedCall): RecordedCall[] {
  if (call.kind !== 'write') return [call];
  const parts: RecordedCall[] = [];
  for (let at = 0; at < call.bytes.length; at += SECTOR) {
    parts.push({ kind: 'write', offset: call.offset + at, bytes: call.bytes.subarray(at, at + SECTOR) });
  }
  return parts;
}

/** Reordered only where calls do not touch the same bytes: a disk keeps the order of those. */
function shuffled(calls: RecordedCall[], random: () => number): RecordedCall[] {
  const truncates = calls.some((call) => call.kind === 'truncate');
  return truncates ? calls : calls.toSorted(() => random() - 0.5);
}

async function replay(file: RecordedFile, calls: readonly RecordedCall[]): Promise<Uint8Array> {
  const sink = memorySink();
  await sink.write(0, file.start);
  for (const call of calls) {
    if (call.kind === 'write') await sink.write(call.offset, call.bytes);
    else if (call.kind === 'zero') await sink.zero(call.offset, call.length);
    else if (call.kind === 'truncate') await sink.truncate(call.size);
  }
  return sink.bytes();
}

/** Numbers from 0 to 1 from a seed, the same every time. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
