import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { IdentityFault } from './auth/keystone/identity-http.ts';
import type { UnifiedLimits } from './auth/keystone/unified-limits.ts';
import { unifiedLimits } from './auth/keystone/unified-limits.ts';
import { CatalogError } from './catalog/errors.ts';
import type { LimitSource, ProjectLimits } from './catalog/quota.ts';
import { projectLimits } from './catalog/quota.ts';
import type { Configuration } from './config/load.ts';

/** Where limits of projects come from, for as long as the service runs. */
export interface OpenLimits extends LimitSource {
  close(): void;
}

/** Limits that Keystone told are believed so long. */
const BELIEVED_MS = 30_000;
/** Nothing of these is used for limits: they are about tokens of callers. */
const NO_TOKENS = { refusalCacheMs: 0, cacheEntries: 1 };

/** The limits of projects as configured: those of the configuration, or Keystone's. */
export async function openProjectLimits(
  { limits, access }: Configuration,
  log: (message: string) => void,
): Promise<OpenLimits> {
  const { keystone } = access;
  const endpointId = limits.keystoneEndpointId;
  if (endpointId === undefined) return { ...projectLimits(limits.projects), close: () => {} };
  if (keystone === undefined) throw new Error('assertion failed: limits of Keystone need Keystone');
  const { credentials } = keystone;
  const reader = unifiedLimits(
    {
      ...keystone,
      ...NO_TOKENS,
      ca: keystone.cafile === undefined ? undefined : await readFile(keystone.cafile, 'utf8'),
      // Limits of all projects are for readers of the whole system.
      credentials: credentials.method === 'password' ? { ...credentials, scope: 'system' } : credentials,
      endpointId,
      believedMs: BELIEVED_MS,
    },
    { log, now: Date.now, sleep: (ms) => delay(ms) },
  );
  return {
    async of(project) {
      try {
        return limitsOf(await reader.of(project));
      } catch (error) {
        if (!(error instanceof IdentityFault)) throw error;
        log(`limits cannot be read: ${error.message}`);
        throw new CatalogError('unavailable', 'The limits of the project cannot be asked for now');
      }
    },
    close: () => reader.close(),
  };
}

/** What is not registered there may not be had at all; -1 is any number. */
function limitsOf(limits: UnifiedLimits): ProjectLimits {
  const count = (name: string): number | undefined => {
    const limit = limits.get(name) ?? 0;
    return limit < 0 ? undefined : limit;
  };
  const bytes = (name: string): number | undefined => {
    const mebibytes = count(name);
    return mebibytes === undefined ? undefined : mebibytes * 2 ** 20;
  };
  return {
    images: count('image_count_total'),
    uploading: count('image_count_uploading'),
    storedBytes: bytes('image_size_total'),
    stagedBytes: bytes('image_stage_total'),
  };
}
