import type { Candidate } from './candidate.ts';
import { closedWrapper } from './candidate.ts';
import type { RuleSeverity, TargetProfile, TargetRule } from './profile.ts';

/** A rule that an image breaks: plain data, fit for JSON. */
export interface TargetFinding {
  /** The rule's id. */
  readonly rule: string;
  readonly severity: RuleSeverity;
  /** How the image breaks it, in one sentence. */
  readonly message: string;
  /** What the target wants. */
  readonly sentence: string;
  readonly mend: string;
  readonly sources: readonly string[];
}

/** What a target will say to an image. Plain data. */
export interface TargetVerdict {
  readonly target: string;
  readonly verdict: 'accepted' | 'warning' | 'refused';
  /** Refusals first. */
  readonly findings: readonly TargetFinding[];
  /** What was not looked at, one clause each. */
  readonly unchecked: readonly string[];
}

/** Holds the image against the rules of the target. Reads nothing. */
export function lintCandidate(profile: TargetProfile, candidate: Candidate): TargetVerdict {
  const wrapper = closedWrapper(candidate);
  const rules = wrapper === undefined ? profile.rules : profile.rules.filter(holdsForContainers);
  const findings = brokenRules(rules, candidate);
  const inside = wrapper === undefined ? [] : [`the image inside the ${wrapper} container`];
  return { target: profile.name, ...summary(findings), unchecked: [...inside, ...profile.unchecked] };
}

/** What is known of a container that was not opened: its kind, and damage if that is why. */
function holdsForContainers(rule: TargetRule): boolean {
  return rule.about === 'packing' || rule.id === 'sound';
}

/** What no conversion can mend: the rules about the guest disk alone, to be asked before a conversion begins. */
export function lintDisk(profile: TargetProfile, candidate: Candidate): readonly TargetFinding[] {
  return brokenRules(
    profile.rules.filter((rule) => rule.about === 'disk'),
    candidate,
  );
}

function brokenRules(rules: readonly TargetRule[], candidate: Candidate): readonly TargetFinding[] {
  const findings = rules.flatMap(({ id, severity, sentence, mend, sources, breach }): TargetFinding[] => {
    const how = breach(candidate);
    return how === undefined ? [] : [{ rule: id, severity, message: `The image ${how}.`, sentence, mend, sources }];
  });
  const of = (severity: RuleSeverity): TargetFinding[] => findings.filter((finding) => finding.severity === severity);
  return [...of('refusal'), ...of('warning')];
}

function summary(findings: readonly TargetFinding[]): Pick<TargetVerdict, 'verdict' | 'findings'> {
  if (findings.some((finding) => finding.severity === 'refusal')) return { verdict: 'refused', findings };
  return { verdict: findings.length > 0 ? 'warning' : 'accepted', findings };
}
