import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { GuestWork } from './guest-work.ts';
import { costInCopiedBytes } from './guest-work.ts';

/**
 * With less to copy than this, a second lane does not make up for the start of its thread, because files are written by
 * one lane at a time.
 */
const WORTH_A_THREAD = 512 * 2 ** 20;
/** Address space that a thread needs at the least; below it the process would abort. */
const ADDRESS_SPACE_PER_LANE = 2 * 2 ** 30;
const MAX_LANES = 16;

/** Who does long work. */
export interface LaneChoice {
  /**
   * Lanes at work at the same time; 0 and 1 mean the calling thread alone. Chosen by the size of the work when absent.
   */
  readonly workers?: number;
  /**
   * What the calling thread does: it `waits` for the lanes' threads and stays responsive, as a server must (the
   * default), or it `works` as one of the lanes and gives other work of its own a turn now and then.
   */
  readonly callingThread?: 'waits' | 'works';
}

/** The lanes of one job. */
export interface Lanes {
  /** True when the calling thread is one of them, with synchronous calls. */
  readonly own: boolean;
  /** How many have a thread of their own; when there is none and `own` is false, the calling thread works asynchronously. */
  readonly threads: number;
}

/** The lanes for the work. */
export function lanesFor(work: GuestWork, choice: LaneChoice): Lanes {
  // What the system copies into one file it copies one piece after the other.
  const wanted = work.unseen === true ? (choice.workers ?? 1) : choice.workers;
  const count = laneCount(costInCopiedBytes(work), wanted);
  if (choice.callingThread !== 'works') return { own: false, threads: count };
  return { own: true, threads: Math.max(0, count - 1) };
}

/**
 * How many lanes to use for work that costs as much as copying `bytes`: 0 means the caller's own thread. `wanted` is the
 * user's number, which holds unless the address space of the process is bounded.
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
