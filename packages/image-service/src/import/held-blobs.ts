import { randomUUID } from 'node:crypto';
import type { BlobHoldRepo, BlobPlace } from '../catalog/repositories.ts';
import type { StoredPlace } from './stored-data.ts';

/** Keeps bytes in stores while somebody reads them, in this process or another one. */
export interface HeldBlobs {
  /** Until the returned function is called nobody removes what lies there. */
  hold(place: BlobPlace): () => void;
  isHeld(place: BlobPlace): Promise<boolean>;
}

/** What holds are kept with. */
export interface HoldParts {
  readonly holds: BlobHoldRepo;
  readonly now: () => number;
  readonly log: (message: string) => void;
}

/**
 * Reading that lasts longer than this is written down for other processes. What an image gives up stays longer than this in
 * its store, so that short reads need no writing.
 */
const UNRECORDED_MS = 2000;
/** A hold that nobody renews ends by itself: its process is gone. */
const HOLD_MS = 60_000;
const RENEWAL_MS = 20_000;

/** The holds of this process. */
export function heldBlobs({ holds, now, log }: HoldParts): HeldBlobs {
  const counts = new Map<string, number>();
  return {
    hold(place) {
      const key = keyOf(place);
      counts.set(key, (counts.get(key) ?? 0) + 1);
      const forget = recordedHold({ holds, now, log }, place);
      let released = false;
      return () => {
        if (released) return;
        released = true;
        const others = (counts.get(key) ?? 1) - 1;
        if (others === 0) counts.delete(key);
        else counts.set(key, others);
        forget();
      };
    },
    isHeld: async (place) => counts.has(keyOf(place)) || (await holds.isHeld(place, now())),
  };
}

function keyOf({ store, location }: BlobPlace): string {
  return `${store} ${location}`;
}

/** Writes the hold down once it has lasted a while, and again from time to time, until the returned function is called. */
function recordedHold({ holds, now, log }: HoldParts, { store, location }: BlobPlace): () => void {
  const id = randomUUID();
  let writing: Promise<void> | undefined;
  const write = (): void => {
    writing = holds.keep({ id, store, location, expiresAt: now() + HOLD_MS }).catch((error: unknown) => {
      log(`a download could not be written down, its data may be removed too early: ${String(error)}`);
    });
  };
  let timer = setTimeout(() => {
    write();
    timer = setInterval(write, RENEWAL_MS).unref();
  }, UNRECORDED_MS).unref();
  return () => {
    clearTimeout(timer);
    void writing?.then(() => holds.release(id)).catch(() => {});
  };
}

/** The stored data, held whenever it is read. */
export function heldPlace(held: HeldBlobs, place: StoredPlace | undefined): StoredPlace | undefined {
  if (place === undefined) return undefined;
  const { store, location } = place;
  return { ...place, read: (range) => whileHeld(held, { store: store.id, location }, place.read(range)) };
}

/** The bytes, held as long as they are read. */
async function* whileHeld(
  held: HeldBlobs,
  place: BlobPlace,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const release = held.hold(place);
  try {
    yield* bytes;
  } finally {
    release();
  }
}
