import type { Policy } from '../caller.ts';
import { checkRules, referencesOf } from './check-rules.ts';
import { DEFAULT_RULES } from './default-rules.ts';
import type { PolicyProblem } from './errors.ts';
import { PolicyError, RuleSyntaxError } from './errors.ts';
import { evaluateRule } from './evaluate-rule.ts';
import { parseRule } from './parse-rule.ts';
import type { Rule } from './rule.ts';
import { MAX_RULES } from './rule.ts';

/** A policy that stands, and what an operator should know of it. */
export interface CheckedPolicy {
  readonly policy: Policy;
  readonly warnings: readonly string[];
}

/**
 * The policy of the default rules with `overrides` (texts by the name of their rule) in their place; other names are
 * rules for rules to name. Throws `PolicyError` with everything that is wrong.
 */
export function makePolicy(overrides: ReadonlyMap<string, string> = new Map()): CheckedPolicy {
  const texts = new Map(DEFAULT_RULES.map(({ name, rule }) => [name, rule] as const));
  for (const [name, text] of overrides) texts.set(name, text);
  if (texts.size > MAX_RULES) throw new PolicyError([{ message: `there are more than ${MAX_RULES} rules` }]);
  const problems: PolicyProblem[] = [];
  const rules = new Map<string, Rule>();
  for (const [name, text] of texts) {
    try {
      rules.set(name, parseRule(text));
    } catch (error) {
      if (!(error instanceof RuleSyntaxError)) throw error;
      problems.push({ rule: name, column: error.column, message: error.message });
    }
  }
  if (problems.length === 0) problems.push(...checkRules(rules));
  if (problems.length > 0) throw new PolicyError(problems);
  return { policy: policyOf(rules), warnings: unusedWarnings(overrides, rules) };
}

function policyOf(rules: ReadonlyMap<string, Rule>): Policy {
  return {
    allows(name, caller, target) {
      const rule = rules.get(name);
      return rule !== undefined && evaluateRule(rule, { rules, caller, target });
    },
  };
}

const ASKED_FOR: ReadonlySet<string> = new Set(DEFAULT_RULES.map(({ name }) => name));

function unusedWarnings(overrides: ReadonlyMap<string, string>, rules: ReadonlyMap<string, Rule>): string[] {
  const named = new Set([...rules.values()].flatMap(referencesOf).map((reference) => reference.name));
  return [...overrides.keys()]
    .filter((name) => !ASKED_FOR.has(name) && !named.has(name))
    .map((name) => `the rule "${name}" of the policy file has no effect: nothing asks for it and no rule names it`);
}
