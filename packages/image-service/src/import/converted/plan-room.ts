import type { SpaceLedger } from '../../staging/space.ts';
import { ImportError } from '../errors.ts';
import type { DownloadPlan } from './download-plan.ts';
import type { KeptPlans } from './kept-plans.ts';

/** What room for plans is taken from. */
export interface PlanRoomParts {
  readonly space: SpaceLedger;
  /** What was found out before goes when there is no room. */
  readonly plans: Pick<KeptPlans, 'forgetOldest'>;
}

/**
 * Bytes of one plan. Tables and units of a disk of two tebibytes, compressed, take no more; small clusters that are all
 * preallocated would take any disk.
 */
const MAX_PLAN_BYTES = 2 ** 31;

/** Room for so many more bytes of the plan. Throws `insufficient_space`, and `not_convertible` for a plan that is too large. */
export async function promiseRoom({ space, plans }: PlanRoomParts, plan: DownloadPlan, bytes: number): Promise<void> {
  if ((await plan.sizeBytes()) + bytes > MAX_PLAN_BYTES) {
    throw new ImportError('not_convertible', 'The tables of the image in this format are too large for a download');
  }
  for (;;) {
    try {
      return await space.reserve(plan.id, bytes, { waitMs: 0 });
    } catch (error) {
      if (!(await plans.forgetOldest())) throw error;
    }
  }
}
