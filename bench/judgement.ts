/** A case's figures against those of the peer and against its goal. */
import { PEAK_GOAL_MEBIBYTES } from './cases.ts';
import type { ContenderResult } from './contest.ts';
import type { Cost } from './measure.ts';
import type { CaseResult } from './result-file.ts';
import { pairedRatio, spreadOf } from './statistics.ts';

/** What a contender cost, as multiples of what the peer cost in the same rounds. */
export interface Ratios {
  readonly wall: number;
  readonly cpu: number;
  /** Of the results' sizes; NaN where nothing is written. */
  readonly size: number;
}

/** The figures that missed their goal; none: it is met. Undefined where there is no goal. */
export type Missed = readonly ('wall' | 'CPU' | 'size' | 'memory')[] | undefined;

/**
 * The contender's ratios to the peer, which is the first contender of the case: over the pairs of those that are like for
 * like, of the medians for the others, which ran by themselves.
 */
export function ratiosOf(result: CaseResult, contender: ContenderResult): Ratios {
  const peer = peerOf(result);
  const ratio = (key: keyof Cost): number => {
    const [own, others] = [figuresOf(contender, key), figuresOf(peer, key)];
    return contender.isLikeForLike ? pairedRatio(own, others) : spreadOf(own).median / spreadOf(others).median;
  };
  return {
    wall: ratio('wallSeconds'),
    cpu: ratio('cpuSeconds'),
    size: contender.outputBytes / peer.outputBytes,
  };
}

/** What our program, measured like for like, missed. */
export function missedGoals(result: CaseResult): Missed {
  const ours = oursOf(result);
  if (result.goal === undefined) return undefined;
  const { wall, cpu, size } = ratiosOf(result, ours);
  const tests = [
    ['wall', wall <= result.goal.wall],
    ['CPU', cpu <= result.goal.cpu],
    ['size', result.sizeGoal === undefined || size <= result.sizeGoal],
    ['memory', spreadOf(figuresOf(ours, 'peakMebibytes')).max <= PEAK_GOAL_MEBIBYTES],
  ] as const;
  return tests.flatMap(([name, isMet]) => (isMet ? [] : [name]));
}

/** The figures of all runs. */
export function figuresOf(contender: ContenderResult, key: keyof Cost): number[] {
  return contender.costs.map((cost) => cost[key]);
}

/** The contender that the others are compared with. */
export function peerOf(result: CaseResult): ContenderResult {
  const [peer] = result.contenders;
  if (peer === undefined) throw new Error(`${result.name} was measured without the peer`);
  return peer;
}

/** Our contender that does what the peer does. */
export function oursOf(result: CaseResult): ContenderResult {
  const ours = result.contenders[1];
  if (ours === undefined) throw new Error(`${result.name} was measured without diskmorph`);
  return ours;
}
