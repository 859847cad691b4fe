import type { UnwrittenFilePlan } from '@diskmorph/disk-image-node';

/** Plans of downloads, remembered for a while after they were last used. */
export interface KeptPlans {
  get(key: string): UnwrittenFilePlan | undefined;
  keep(key: string, plan: UnwrittenFilePlan): void;
  close(): Promise<void>;
}

interface KeptPlan {
  readonly plan: UnwrittenFilePlan;
  readonly release: () => Promise<void>;
  readonly timer: NodeJS.Timeout;
}

/** Each has two open files. */
const MAX_PLANS = 64;

/** Keeps plans for `lifetimeMs` after their last use; 0: not at all. */
export function keptPlans(lifetimeMs: number, log: (message: string) => void): KeptPlans {
  const plans = new Map<string, KeptPlan>();
  const forget = async (key: string): Promise<void> => {
    const kept = plans.get(key);
    plans.delete(key);
    clearTimeout(kept?.timer);
    await kept
      ?.release()
      .catch((error: unknown) => log(`the plan of a download could not be closed: ${String(error)}`));
  };
  return {
    get(key) {
      const kept = plans.get(key);
      if (kept === undefined) return undefined;
      kept.timer.refresh();
      // The least recently used comes first.
      plans.delete(key);
      plans.set(key, kept);
      return kept.plan;
    },
    keep(key, plan) {
      if (lifetimeMs === 0 || plans.has(key)) return;
      const timer = setTimeout(() => void forget(key), lifetimeMs).unref();
      plans.set(key, { plan, release: plan.use(), timer });
      const [oldest] = plans.keys();
      if (plans.size > MAX_PLANS && oldest !== undefined) void forget(oldest);
    },
    async close() {
      await Promise.all([...plans.keys()].map(forget));
    },
  };
}
