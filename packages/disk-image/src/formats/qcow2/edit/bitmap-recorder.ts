import { bitmapsAreConsistent } from '../bitmap-directory.ts';
import type { BitmapInfo } from '../bitmap-directory.ts';
import { MAX_RECORDED_RUNS } from '../limits.ts';
import { bitmapDraft } from './bitmap-draft.ts';
import { currentBitmaps, replaceBitmapDirectory } from './bitmap-entry.ts';
import type { EditedImage } from './edited-image.ts';
import type { HeaderChange } from './header-switch.ts';
import type { Transaction } from './transaction.ts';

/**
 * Tells every bitmap that records writes what a guest writer writes. They are marked as in use before the first write
 * and get their bits with the last switch, which takes the mark away: a crash in between leaves bitmaps that say
 * themselves that they cannot be trusted. qcow2 specification, "Bitmap directory", flag in_use.
 */
export interface WriteRecorder {
  /** The guest bytes of the range are about to change. */
  record(offset: number, length: number): void;
  /** True when what was recorded should become bits by a `refill` before there is more of it. */
  readonly isFull: boolean;
  /** True when bitmaps are marked as in use. */
  readonly isOpen: boolean;
  /** What a switch changes in the bitmaps: `refill` marks them and, when it is full, sets bits; `close` ends it. */
  settle(change: Transaction, keep: 'refill' | 'close'): Promise<HeaderChange>;
}

const NO_CHANGE: HeaderChange = { fields: {} };

/** A recorder for the bitmaps of `image`. Throws `unsupported` when there are such as a new directory would lose. */
export async function writeRecorder(image: EditedImage): Promise<WriteRecorder> {
  const names = recordingNames(image);
  if (names.size > 0) await currentBitmaps(image);
  const runs = writtenRuns();
  let isOpen = false;

  const marked = (bitmaps: readonly BitmapInfo[], inUse: boolean): readonly BitmapInfo[] =>
    bitmaps.map((bitmap) => (names.has(bitmap.name) ? { ...bitmap, inUse } : bitmap));

  const withBits = async (change: Transaction): Promise<readonly BitmapInfo[]> => {
    const { bitmaps, header } = change.image.metadata;
    const written = runs.take();
    const next: BitmapInfo[] = [];
    for (const bitmap of bitmaps) {
      if (!names.has(bitmap.name)) {
        next.push(bitmap);
        continue;
      }
      const draft = await bitmapDraft(change, bitmap, header.virtualSize);
      for (const run of written) {
        const pending = draft.mark(run.start, run.end - run.start);
        if (pending !== undefined) await pending;
      }
      next.push(await draft.finish());
    }
    return next;
  };

  return {
    record(offset, length) {
      if (names.size > 0) runs.add(offset, offset + length);
    },
    get isFull() {
      return runs.count >= MAX_RECORDED_RUNS;
    },
    get isOpen() {
      return isOpen;
    },
    async settle(change, keep) {
      if (names.size === 0 || (keep === 'close' && !isOpen)) return NO_CHANGE;
      const hasBits = keep === 'close' || runs.count >= MAX_RECORDED_RUNS;
      if (isOpen && !hasBits) return NO_CHANGE;
      const bitmaps = hasBits ? await withBits(change) : change.image.metadata.bitmaps;
      isOpen = keep === 'refill';
      const { extensions, autoclearFeatures } = await replaceBitmapDirectory(change, marked(bitmaps, isOpen));
      return { ...(extensions === undefined ? {} : { extensions }), fields: { autoclearFeatures } };
    },
  };
}

/** Bitmaps that record and can be trusted so far; the others are none the worse for what is written. */
function recordingNames(image: EditedImage): ReadonlySet<string> {
  const { header, bitmaps } = image.metadata;
  if (!bitmapsAreConsistent(header)) return new Set();
  return new Set(bitmaps.filter(({ auto, inUse }) => auto && !inUse).map(({ name }) => name));
}

interface WrittenRun {
  readonly start: number;
  end: number;
}

/** Ranges of guest bytes; one that follows the one before is joined to it. */
function writtenRuns(): {
  readonly count: number;
  add(start: number, end: number): void;
  /** All of them in ascending order; there are none then. */
  take(): readonly WrittenRun[];
} {
  let runs: WrittenRun[] = [];
  return {
    get count() {
      return runs.length;
    },
    add(start, end) {
      const last = runs.at(-1);
      if (last !== undefined && start >= last.start && start <= last.end) last.end = Math.max(last.end, end);
      else runs.push({ start, end });
    },
    take() {
      const taken = runs.toSorted((a, b) => a.start - b.start);
      runs = [];
      return taken;
    },
  };
}
