import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Guest bytes of data below which starting threads costs more than they bring. */
const WORTH_A_THREAD = 96 * 2 ** 20;
/** Address space that a thread needs at the least; below it the process would abort. */
const ADDRESS_SPACE_PER_LANE = 2 * 2 ** 30;
const MAX_LANES = 16;

/**
 * How many threads to use for `bytes` of guest data: 0 means the caller's own. `wanted` is the user's number, which
 * holds unless the address space of the process is bounded.
 */
export function laneCount(bytes: number, wanted: number | undefined): number {
  const allowed = lanesAllowed(addressSpaceLimit());
  if (wanted !== undefined) return Math.min(wanted, allowed);
  if (bytes < WORTH_A_THREAD) return 0;
  return Math.min(availableParallelism(), MAX_LANES, allowed);
}

/** Threads that fit into an address space of `limit` bytes. */
export function lanesAllowed(limit: number | undefined): number {
  if (limit === undefined) return MAX_LANES;
  return Math.max(0, Math.floor(limit / ADDRESS_SPACE_PER_LANE) - 1);
}

/** RLIMIT_AS in bytes, undefined when there is none or the system does not say. */
function addressSpaceLimit(): number | undefined {
  try {
    const line = readFileSync('/proc/self/limits', 'latin1').match(/^Max address space\s+(\d+)/m);
    return line?.[1] === undefined ? undefined : Number(line[1]);
  } catch {
    return undefined;
  }
}
