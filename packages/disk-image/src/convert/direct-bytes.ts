import type { ByteSink, ByteSource, FileRange } from '../bytes/byte-source.ts';
import type { LaneJob, LanePorts } from './lane.ts';
import type { StoredAhead } from './stored-ahead.ts';
import { readRanges } from './unit-walk.ts';
import { copiesUnseen, unseenLoader } from './unseen-bytes.ts';
import { dataParts } from './work-map.ts';
import type { ByteRange } from './zero-blocks.ts';

/** Bytes of a chunk that may go into the targets straight from the source's file, not through the guest buffer. */
export interface DirectBytes {
  /** Reads what must be seen of a chunk into the guest buffer. Chunks must ascend. */
  load(chunk: ChunkRange, signal?: AbortSignal): Promise<LoadedChunk>;
  /** Writes the range of the loaded chunk to `hostOffset`: straight from the source's file where that can be. */
  write(sink: ByteSink, hostOffset: number, range: ByteRange): Promise<void>;
}

/** The place of a chunk on the guest disk, in bytes. */
export interface ChunkRange {
  readonly index: number;
  readonly offset: number;
  readonly length: number;
}

/** What has become of a chunk; all ranges are relative to its start and ascend. Elsewhere are zeros. */
export interface LoadedChunk {
  /** What has been read: zeros are yet to be found there. */
  readonly seen: readonly ByteRange[];
  /** What is surely data and has not been read, in whole units of every target. */
  readonly unseen: readonly ByteRange[];
  /** What lies in the source's file as it is; with something unseen, that alone. */
  readonly stored: readonly StoredPart[];
}

/** A range of a chunk that lies in the source's file as it is. */
export interface StoredPart extends ByteRange {
  readonly hostOffset: number;
}

/** What lies on the file system in pieces of fewer bytes is written: sharing them would cost more than it saves. */
const LEAST_SHARED = 64 * 1024;

/**
 * For the chunks in `guest`; undefined where every byte must be read and written. `ahead` is asked for chunk after chunk.
 */
export function directBytes(
  job: LaneJob,
  ports: LanePorts,
  chunk: { readonly guest: Uint8Array; readonly ahead: StoredAhead },
): DirectBytes | undefined {
  const { file } = ports.source;
  if (file === undefined) return undefined;
  const isUnseen = copiesUnseen(job, ports);
  if (!isUnseen && !shares(job, ports)) return undefined;
  const work = { job, ports, file, ...chunk };
  return loadedBytes(work, isUnseen ? unseenLoader(work) : wholeLoader(work), isUnseen);
}

/** What loads chunks. */
export interface LoaderPorts {
  readonly job: LaneJob;
  readonly ports: LanePorts;
  readonly file: ByteSource;
  readonly guest: Uint8Array;
  readonly ahead: StoredAhead;
}

/** As `DirectBytes.load`; `isShared` when all that was written of the chunk before shares its blocks. */
export type ChunkLoader = (
  chunk: ChunkRange,
  before: { readonly isShared: boolean },
  signal?: AbortSignal,
) => Promise<LoadedChunk>;

/** Whether some sink may share blocks with the source's file. */
function shares(job: LaneJob, { targets }: LanePorts): boolean {
  return job.reflink === true && targets.some(({ sinks }) => sinks.some((sink) => sink.reflinkFrom !== undefined));
}

/** Reads all data of a chunk: somebody must see it, though it need not be written. */
function wholeLoader({ job, ports, guest, ahead }: LoaderPorts): ChunkLoader {
  return async ({ index, offset, length }, _before, signal) => {
    const seen = dataParts(job.map, index, length);
    if (job.readAhead === true) await ahead.readAhead(offset);
    await readRanges(ports.source, { offset, into: guest, ranges: seen }, signal);
    const stored: StoredPart[] = [];
    for (const { start, end, hostOffset } of await ahead.within(offset, offset + length)) {
      if (hostOffset !== undefined) stored.push({ start: start - offset, end: end - offset, hostOffset });
    }
    return { seen, unseen: [], stored };
  };
}

function loadedBytes({ job, file, guest }: LoaderPorts, load: ChunkLoader, isUnseen: boolean): DirectBytes {
  let stored: readonly StoredPart[] = [];
  const shared = { ranges: 0, of: 0 };
  const share = (sink: ByteSink, range: FileRange, to: number): number => {
    if (job.reflink !== true || range.length < LEAST_SHARED) return 0;
    const done = sink.reflinkFrom?.(file, range, to) ?? 0;
    shared.of++;
    if (done === range.length) shared.ranges++;
    return done;
  };
  const move = (sink: ByteSink, { offset, length }: FileRange, to: number): number => {
    const done = share(sink, { offset, length }, to);
    if (done === length || !isUnseen) return done;
    return done + (sink.copyFrom?.(file, { offset: offset + done, length: length - done }, to + done) ?? 0);
  };
  return {
    async load(chunk, signal) {
      const isShared = shared.of > 0 && shared.ranges === shared.of;
      Object.assign(shared, { ranges: 0, of: 0 });
      const loaded = await load(chunk, { isShared }, signal);
      stored = loaded.stored;
      return loaded;
    },
    async write(sink, hostOffset, { start, end }) {
      let done = start;
      const writeGuest = async (until: number): Promise<void> => {
        if (until > done) await sink.write(hostOffset + (done - start), guest.subarray(done, until));
      };
      for (const part of stored) {
        const from = Math.max(done, part.start);
        const to = Math.min(end, part.end);
        if (from >= to) continue;
        const range = { offset: part.hostOffset + (from - part.start), length: to - from };
        const moved = move(sink, range, hostOffset + (from - start));
        if (isUnseen && moved < range.length) await file.read(range.offset + moved, guest.subarray(from + moved, to));
        if (moved === 0) continue;
        await writeGuest(from);
        done = from + moved;
      }
      await writeGuest(end);
    },
  };
}
