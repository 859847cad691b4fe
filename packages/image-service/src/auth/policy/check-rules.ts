import type { PolicyProblem } from './errors.ts';
import { RuleSyntaxError } from './errors.ts';
import type { Rule } from './rule.ts';
import { MAX_RULE_CHECKS, MAX_RULE_DEPTH } from './rule.ts';

interface Measure {
  readonly depth: number;
  readonly checks: number;
}

interface Way {
  readonly rules: ReadonlyMap<string, Rule>;
  readonly measured: Map<string, Measure>;
  /** Names of the rules that led here, the first one first. */
  readonly names: readonly string[];
  readonly depth: number;
  /** Where the first rule names the next one. */
  readonly column: number;
}

/**
 * What is wrong with the rules together: references to rules that nobody defined, circles, and ways through other
 * rules that are longer or have more checks than the limits of `rule.ts`.
 */
export function checkRules(rules: ReadonlyMap<string, Rule>): readonly PolicyProblem[] {
  const measured = new Map<string, Measure>();
  return Array.from(rules).flatMap(([name, rule]) => {
    const undefinedOnes = referencesOf(rule).filter((reference) => !rules.has(reference.name));
    if (undefinedOnes.length > 0) {
      return undefinedOnes.map((reference) => ({
        rule: name,
        column: reference.column,
        message: `there is no rule "${reference.name}"`,
      }));
    }
    try {
      const measure = measureRule(rule, { rules, measured, names: [name], depth: 1, column: 1 });
      measured.set(name, measure);
      return [];
    } catch (error) {
      if (!(error instanceof RuleSyntaxError)) throw error;
      return [{ rule: name, column: error.column, message: error.message }];
    }
  });
}

/** Every reference to another rule in the rule's own text. */
export function referencesOf(rule: Rule): readonly (Rule & { readonly kind: 'rule' })[] {
  if (rule.kind === 'rule') return [rule];
  if (rule.kind === 'not') return referencesOf(rule.rule);
  return rule.kind === 'and' || rule.kind === 'or' ? rule.rules.flatMap(referencesOf) : [];
}

function measureRule(rule: Rule, way: Way): Measure {
  if (way.depth > MAX_RULE_DEPTH) {
    throw new RuleSyntaxError(way.column, `the way through other rules is deeper than ${MAX_RULE_DEPTH}`);
  }
  const inner = innerMeasures(rule, way);
  const depth = 1 + Math.max(0, ...inner.map((measure) => measure.depth));
  const checks = inner.reduce((sum, measure) => sum + measure.checks, 1);
  if (depth > MAX_RULE_DEPTH || checks > MAX_RULE_CHECKS) {
    const message = `comes to more than ${MAX_RULE_CHECKS} checks, or ${MAX_RULE_DEPTH} in each other, with the rules that it names`;
    throw new RuleSyntaxError(way.column, message);
  }
  return { depth, checks };
}

function innerMeasures(rule: Rule, way: Way): readonly Measure[] {
  const deeper = { ...way, depth: way.depth + 1 };
  if (rule.kind === 'not') return [measureRule(rule.rule, deeper)];
  if (rule.kind === 'and' || rule.kind === 'or') return rule.rules.map((inner) => measureRule(inner, deeper));
  return rule.kind === 'rule' ? [measureReference(rule, deeper)] : [];
}

function measureReference({ name, column }: { readonly name: string; readonly column: number }, way: Way): Measure {
  const known = way.measured.get(name);
  if (known !== undefined) return known;
  const firstColumn = way.names.length === 1 ? column : way.column;
  if (way.names.includes(name)) {
    const circle = [...way.names.slice(way.names.indexOf(name)), name].join(' -> ');
    throw new RuleSyntaxError(firstColumn, `leads in a circle: ${circle}`);
  }
  const rule = way.rules.get(name);
  // A name that nobody defined is told where it stands.
  if (rule === undefined) return { depth: 1, checks: 1 };
  const measure = measureRule(rule, { ...way, names: [...way.names, name], column: firstColumn });
  way.measured.set(name, measure);
  return measure;
}
