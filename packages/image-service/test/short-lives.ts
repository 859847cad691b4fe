import { heldBlobs } from '../src/import/held-blobs.ts';
import { removeOrphans } from '../src/import/orphan-removal.ts';
import type { WholeService } from '../src/main.ts';
import { openWholeService } from '../src/main.ts';
import type { Doom } from './doom.ts';
import { doom } from './doom.ts';
import type { Faults } from './faults.ts';
import { faultyParts, gatedParts } from './faults.ts';
import type { World } from './world.ts';
import { readingHere } from './world.ts';

/** A process that may die, and what goes wrong in it. */
export interface Life {
  /** It never dies when absent. */
  readonly doom?: Doom;
  readonly faults?: Faults;
  readonly overrides?: Readonly<Record<string, string>>;
}

/** Opens the service of a world for one life of a process. Each life has the lock. */
export function openLife(world: World, life: Life = {}): Promise<WholeService> {
  const { doom: end = immortal(), faults = {}, overrides = {} } = life;
  return openWholeService(
    readingHere({
      configFiles: [world.configFile],
      environment: {},
      overrides,
      intercept: (parts) => ({
        ...gatedParts(faultyParts(parts, faults), end),
        acquireLock: () => ({ release: () => {} }),
      }),
    }),
  );
}

function immortal(): Doom {
  return doom(Number.POSITIVE_INFINITY, () => {});
}

/** Does the work in a life that ends at its nth operation. True when the life outlived the work. */
export async function outlives(dieAt: number, work: (end: Doom) => Promise<void>): Promise<boolean> {
  const death = Promise.withResolvers<void>();
  const end = doom(dieAt, death.resolve);
  await Promise.race([work(end), death.promise]);
  if (!end.dead()) return true;
  await end.still();
  return false;
}

/** Brings everything that was begun to its end, and removes what images gave up. */
export async function endAll(world: World, life: Life = {}): Promise<void> {
  const whole = await openLife(world, life);
  await whole.service.resume();
  await removeGivenUp(whole);
  await whole.service.close();
}

/** Removes what images gave up, at once. */
export async function removeGivenUp({ parts }: WholeService): Promise<void> {
  const { catalog, now, log } = parts;
  const held = heldBlobs({ holds: catalog.blobHolds, now, log });
  await removeOrphans({ ...parts, blobRemovals: catalog.blobRemovals, holds: catalog.blobHolds, held, graceMs: 0 });
}
