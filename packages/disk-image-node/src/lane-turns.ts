import { setImmediate } from 'node:timers/promises';
import type { LanePause } from '@diskmorph/disk-image';

/** How long a lane may keep its thread to itself: signals, progress and other threads' results wait that long. */
const TURN_MS = 20;

/** The pause of a lane on a thread that has other work: now and then everything that waits gets its turn. */
export function turnsForOthers(): LanePause {
  let since = performance.now();
  return () => {
    if (performance.now() - since < TURN_MS) return undefined;
    return setImmediate().then(() => {
      since = performance.now();
    });
  };
}
