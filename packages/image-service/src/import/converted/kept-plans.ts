import type { DownloadPlan } from './download-plan.ts';

/** Plans of downloads, remembered for a while after they were last used. */
export interface KeptPlans {
  get(key: string): DownloadPlan | undefined;
  /** A plan that takes more than all of them may is not kept. */
  keep(key: string, plan: DownloadPlan): Promise<void>;
  /** Gives back the space of the plan that was not used for the longest; false when none is kept. */
  forgetOldest(): Promise<boolean>;
  /** Forgets those whose keys begin so. */
  forget(beginning: string): Promise<void>;
  close(): Promise<void>;
}

interface KeptPlan {
  readonly plan: DownloadPlan;
  readonly bytes: number;
  readonly release: () => Promise<void>;
  readonly timer: NodeJS.Timeout;
}

/** Each has two open files. */
const MAX_PLANS = 64;
/** Bytes of disk space that all of them take. */
const MAX_BYTES = 2 ** 30;

/** Keeps plans for `lifetimeMs` after their last use; 0: not at all. */
export function keptPlans(lifetimeMs: number, log: (message: string) => void): KeptPlans {
  // The least recently used comes first.
  const plans = new Map<string, KeptPlan>();
  const forget = async (key: string): Promise<void> => {
    const kept = plans.get(key);
    plans.delete(key);
    clearTimeout(kept?.timer);
    await kept
      ?.release()
      .catch((error: unknown) => log(`the plan of a download could not be closed: ${String(error)}`));
  };
  const forgetOldest = async (): Promise<boolean> => {
    const [oldest] = plans.keys();
    if (oldest === undefined) return false;
    await forget(oldest);
    return true;
  };
  const isTooMuch = (): boolean =>
    plans.size > MAX_PLANS || [...plans.values()].reduce((sum, { bytes }) => sum + bytes, 0) > MAX_BYTES;
  return {
    get(key) {
      const kept = plans.get(key);
      if (kept === undefined) return undefined;
      kept.timer.refresh();
      plans.delete(key);
      plans.set(key, kept);
      return kept.plan;
    },
    async keep(key, plan) {
      if (lifetimeMs === 0 || plans.has(key)) return;
      const release = plan.use();
      const bytes = await plan.sizeBytes();
      if (plans.has(key) || bytes > MAX_BYTES) return release();
      const timer = setTimeout(() => void forget(key), lifetimeMs).unref();
      plans.set(key, { plan, bytes, release, timer });
      while (isTooMuch()) await forgetOldest();
    },
    forgetOldest,
    async forget(beginning) {
      await Promise.all([...plans.keys()].filter((key) => key.startsWith(beginning)).map(forget));
    },
    async close() {
      await Promise.all([...plans.keys()].map(forget));
    },
  };
}
