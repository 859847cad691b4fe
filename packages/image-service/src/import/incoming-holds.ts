import { randomUUID } from 'node:crypto';
import type { IncomingHold, IncomingHoldRepo } from '../catalog/repositories.ts';
import { ImportError } from './errors.ts';

/**
 * Throws `conflict` when this process has not said for so long that it is at work that others gave its upload up: nothing
 * that it had to write is to be written any more.
 */
export type StillHeld = () => Promise<void>;

/** Undefined while the upload is this process's. Throws what else `stillHeld` throws. */
export async function lossOf({ stillHeld }: { readonly stillHeld?: StillHeld }): Promise<ImportError | undefined> {
  try {
    await stillHeld?.();
    return undefined;
  } catch (error) {
    if (error instanceof ImportError && error.code === 'conflict') return error;
    throw error;
  }
}

/** Lets the bytes pass, and ends them only when the upload was not given up by then. */
export async function* heldBytes(
  bytes: AsyncIterable<Uint8Array>,
  stillHeld: StillHeld | undefined,
): AsyncGenerator<Uint8Array> {
  yield* bytes;
  await stillHeld?.();
}

/** Tells other processes whose data is coming in through this one. */
export interface IncomingHolds {
  /** Says so as long as the work lasts. `rests`: what has come lies on this machine afterwards, waiting for its import. */
  during<T>(imageId: string, work: (stillHeld: StillHeld) => Promise<T>, afterwards?: 'rests'): Promise<T>;
  /** The machine on which data of the image lies or is coming in; undefined when nobody has said so. */
  nodeOf(imageId: string): Promise<string | undefined>;
}

/** What holds are kept with. */
export interface IncomingHoldParts {
  readonly holds: IncomingHoldRepo;
  /** This machine. */
  readonly node: string;
  readonly now: () => number;
  readonly log: (message: string) => void;
}

/** After so long without a renewal others may give the upload up: its process is gone, or frozen. */
const HOLD_MS = 90_000;
const RENEWAL_MS = 20_000;

/** The holds of this process. */
export function incomingHolds({ holds, node, now, log }: IncomingHoldParts): IncomingHolds {
  return {
    async during(imageId, work, afterwards) {
      const id = randomUUID();
      const stillHeld: StillHeld = async () => {
        if (await holds.renew(id, now() + HOLD_MS)) return;
        throw new ImportError('conflict', 'The upload was given up: its process did not move for too long');
      };
      await holds.keep({ id, imageId, node, expiresAt: now() + HOLD_MS });
      let renewing = Promise.resolve();
      const timer = setInterval(() => {
        renewing = stillHeld().catch((error: unknown) => {
          log(`image ${imageId}: that its data is coming could not be written down: ${String(error)}`);
        });
      }, RENEWAL_MS).unref();
      const ended = async (): Promise<void> => {
        clearInterval(timer);
        await renewing;
      };
      try {
        const result = await work(stillHeld);
        await ended();
        if (afterwards === 'rests') await holds.keep({ id, imageId, node, expiresAt: null });
        // Without it the hold ends by itself.
        else await holds.release(id).catch(() => {});
        return result;
      } catch (error) {
        await ended();
        await holds.release(id).catch(() => {});
        throw error;
      }
    },
    async nodeOf(imageId) {
      return (await holds.list()).findLast((hold) => hold.imageId === imageId)?.node;
    },
  };
}

/** Is somebody sending? */
export function isComing({ expiresAt }: IncomingHold, now: number): boolean {
  return expiresAt !== null && expiresAt > now;
}
