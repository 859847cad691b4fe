/** A few figures in one. */

/** The smallest, the middle and the largest of some figures. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Throws an Error for no figures. */
export function spreadOf(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const [min, low, high, max] = [0, Math.floor(middle), Math.ceil(middle), sorted.length - 1].map((at) => sorted[at]);
  if (min === undefined || low === undefined || high === undefined || max === undefined) {
    throw new Error('a spread needs at least one figure');
  }
  return { min, median: (low + high) / 2, max };
}

/**
 * The median of `ours / theirs` over the pairs of neighbouring runs: a machine that becomes slower or faster during the
 * measurement changes both runs of a pair. Throws an Error when the counts differ or are 0.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} runs of one, ${theirs.length} of the other`);
  return spreadOf(ours.map((figure, index) => figure / (theirs[index] ?? Number.NaN))).median;
}
