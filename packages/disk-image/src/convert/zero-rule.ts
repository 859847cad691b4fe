import type { ZeroRuns } from './zero-blocks.ts';

/** Which zeros a conversion leaves out of its targets. Plain data. */
export interface ZeroRule {
  /**
   * Bytes of the shortest run of stored zeros that is left out, a multiple of 512; 0 leaves out none, so that every
   * guest byte gets its space.
   */
  readonly least: number;
}

/** What is looked at together, as qemu-img does: longer runs are found in pieces. */
const MAX_RUN: number = 2 * 2 ** 20;
const MIN_RUN = 512;

/** The runs of a rule that leaves some out; they begin and end at multiples of the largest power of two that is not above. */
export function zeroRuns({ least }: ZeroRule): ZeroRuns {
  const bounded = Math.max(MIN_RUN, Math.min(least, MAX_RUN));
  return { unit: 2 ** Math.floor(Math.log2(bounded)), least: bounded };
}
