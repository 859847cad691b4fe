import type { Configuration } from './config/load.ts';
import type { IncomingHolds } from './import/incoming-holds.ts';
import { incomingHolds } from './import/incoming-holds.ts';
import type { RecoveryScope } from './import/recovery.ts';
import { recoverImages } from './import/recovery.ts';
import type { StagedData } from './import/staged/staged-data.ts';
import { stagedFiles } from './import/staged/staged-files.ts';
import { stagedObjects } from './import/staged/staged-objects.ts';
import type { WholeService } from './main.ts';
import type { Observer } from './observed.ts';
import { openStaging } from './staging/staging.ts';
import { openS3Store } from './stores.ts';

/** How often is looked for uploads whose process has died. */
const RECOVERY_INTERVAL_MS = 60_000;

/** What staged data is kept with. */
type StagedSurroundings = Omit<Parameters<typeof openStaging>[0], 'workDir' | 'purpose'> & {
  readonly log: (message: string) => void;
  readonly observed: Observer['store'];
};

/** Opens the place of staged data that is configured: a bucket, a directory, or else the work directory. */
export async function openStagedData(
  { stagingServer, stagingStoreDatadir, workDir }: Configuration,
  { log, observed, ...kept }: StagedSurroundings,
): Promise<StagedData> {
  const purpose = 'uploads';
  if (stagingServer === undefined) {
    return stagedFiles(openStaging({ ...kept, workDir: stagingStoreDatadir ?? workDir, purpose }));
  }
  const store = await openS3Store(stagingServer, { instanceId: kept.instanceId, purpose });
  return stagedObjects(observed(store), log);
}

/** The holds on data that comes in through this process. */
export function incomingHoldsOf({ parts, configuration }: WholeService): IncomingHolds {
  const { catalog, now, log } = parts;
  return incomingHolds({ holds: catalog.incomingHolds, node: configuration.sharedWork.nodeName, now, log });
}

/** Brings images to rest that a death of a process left on their way. */
export function recoverUploads(whole: WholeService): Promise<void> {
  return recoverImages(whole.parts, recoveryScope(whole));
}

/** The same again and again where other processes may die, from now until the returned function is called. */
export function repeatedRecovery(whole: WholeService): () => Promise<void> {
  if (recoveryScope(whole).company === 'alone') return async () => {};
  const { log } = whole.parts;
  let last = Promise.resolve();
  const look = (): void => {
    last = last
      .then(() => recoverUploads(whole))
      .catch((error: unknown) => log(`uploads that were cut off could not be looked for: ${String(error)}`));
  };
  const timer = setInterval(look, RECOVERY_INTERVAL_MS).unref();
  return () => {
    clearInterval(timer);
    return last;
  };
}

function recoveryScope({ parts, configuration }: WholeService): RecoveryScope {
  const { nodeName: node, stagingScope: staging } = configuration.sharedWork;
  const company = configuration.database.kind === 'sqlite' ? 'alone' : 'beside others';
  return { node, company, staging, now: parts.now };
}
