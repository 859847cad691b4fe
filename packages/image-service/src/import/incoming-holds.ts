import { randomUUID } from 'node:crypto';
import type { IncomingHold, IncomingHoldRepo } from '../catalog/repositories.ts';

/** Tells other processes whose data is coming in through this one. */
export interface IncomingHolds {
  /** Says so as long as the work lasts. `rests`: what has come lies on this machine afterwards, waiting for its import. */
  during<T>(imageId: string, work: () => Promise<T>, afterwards?: 'rests'): Promise<T>;
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

/** A hold that nobody renews ends by itself: its process is gone. */
const HOLD_MS = 90_000;
const RENEWAL_MS = 20_000;

/** The holds of this process. */
export function incomingHolds({ holds, node, now, log }: IncomingHoldParts): IncomingHolds {
  return {
    async during(imageId, work, afterwards) {
      const id = randomUUID();
      const write = (): Promise<void> => holds.keep({ id, imageId, node, expiresAt: now() + HOLD_MS });
      await write();
      let renewing = Promise.resolve();
      const timer = setInterval(() => {
        renewing = write().catch((error: unknown) => {
          log(`image ${imageId}: that its data is coming could not be written down: ${String(error)}`);
        });
      }, RENEWAL_MS).unref();
      const ended = async (): Promise<void> => {
        clearInterval(timer);
        await renewing;
      };
      try {
        const result = await work();
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
