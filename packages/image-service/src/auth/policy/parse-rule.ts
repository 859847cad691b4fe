import { RuleSyntaxError } from './errors.ts';
import { parseCheck } from './parse-check.ts';
import type { Rule } from './rule.ts';
import { MAX_RULE_DEPTH, MAX_RULE_LENGTH } from './rule.ts';
import type { RuleWord } from './rule-words.ts';
import { splitRule } from './rule-words.ts';

interface Reading {
  readonly words: readonly RuleWord[];
  /** The column after the last character. */
  readonly end: number;
  at: number;
  depth: number;
}

/**
 * What a rule says: `not` binds strongest, then `and`, then `or`; an empty rule lets everybody. Throws
 * `RuleSyntaxError` with the column. oslo.policy, "Policy language".
 */
export function parseRule(text: string): Rule {
  if (text.length > MAX_RULE_LENGTH) {
    throw new RuleSyntaxError(MAX_RULE_LENGTH + 1, `is longer than ${MAX_RULE_LENGTH} characters`);
  }
  const reading: Reading = { words: splitRule(text), end: text.length + 1, at: 0, depth: 0 };
  if (reading.words.length === 0) return { kind: 'always' };
  const rule = readOr(reading);
  const left = reading.words[reading.at];
  if (left === undefined) return rule;
  const message =
    left.kind === ')' ? 'this parenthesis closes nothing' : `"and" or "or" is missing before "${left.text}"`;
  throw new RuleSyntaxError(left.column, message);
}

function readOr(reading: Reading): Rule {
  return readSeries(reading, 'or', readAnd);
}

function readAnd(reading: Reading): Rule {
  return readSeries(reading, 'and', readNot);
}

function readSeries(reading: Reading, kind: 'and' | 'or', readOne: (reading: Reading) => Rule): Rule {
  const first = readOne(reading);
  const rules = [first];
  while (reading.words[reading.at]?.kind === kind) {
    reading.at++;
    rules.push(readOne(reading));
  }
  return rules.length === 1 ? first : { kind, rules };
}

function readNot(reading: Reading): Rule {
  const word = reading.words[reading.at];
  if (word === undefined) throw new RuleSyntaxError(reading.end, 'a check is missing at the end');
  reading.at++;
  if (word.kind === 'check') return parseCheck(word.text, word.column);
  if (word.kind !== 'not' && word.kind !== '(') {
    throw new RuleSyntaxError(word.column, `a check is missing before "${word.text}"`);
  }
  reading.depth++;
  if (reading.depth > MAX_RULE_DEPTH) throw new RuleSyntaxError(word.column, 'lies too deep in parentheses');
  const inner =
    word.kind === 'not' ? ({ kind: 'not', rule: readNot(reading) } as const) : readParenthesis(reading, word);
  reading.depth--;
  return inner;
}

function readParenthesis(reading: Reading, opening: RuleWord): Rule {
  const rule = readOr(reading);
  if (reading.words[reading.at]?.kind !== ')') {
    throw new RuleSyntaxError(opening.column, 'this parenthesis is not closed');
  }
  reading.at++;
  return rule;
}
