import { RuleSyntaxError } from './errors.ts';

/** One word of a rule, with its column counted from 1. */
export interface RuleWord {
  readonly kind: '(' | ')' | 'and' | 'or' | 'not' | 'check';
  readonly text: string;
  readonly column: number;
}

const OPERATORS: ReadonlySet<string> = new Set(['and', 'or', 'not']);

/**
 * The words of a rule: split at white space, parentheses before and after a word are words of their own, `and`, `or`
 * and `not` in any case. A closing parenthesis inside `%(name)s` belongs to its word. Throws `RuleSyntaxError`.
 */
export function splitRule(text: string): readonly RuleWord[] {
  return [...text.matchAll(/\S+/g)].flatMap((found) => splitChunk(found[0], found.index + 1));
}

function splitChunk(chunk: string, column: number): RuleWord[] {
  const opening = /^\(*/.exec(chunk)?.[0].length ?? 0;
  const closing = /\)*$/.exec(chunk.slice(opening))?.[0].length ?? 0;
  const inner = chunk.slice(opening, chunk.length - closing);
  const words: RuleWord[] = [];
  for (let at = 0; at < opening; at++) words.push({ kind: '(', text: '(', column: column + at });
  if (inner !== '') words.push(innerWord(inner, column + opening));
  for (let at = chunk.length - closing; at < chunk.length; at++) {
    words.push({ kind: ')', text: ')', column: column + at });
  }
  return words;
}

function innerWord(text: string, column: number): RuleWord {
  const lower = text.toLowerCase();
  if (OPERATORS.has(lower)) return { kind: lower === 'not' ? 'not' : lower === 'and' ? 'and' : 'or', text, column };
  const parenthesis = text.replaceAll(/%\(\w+\)s/g, (name) => '_'.repeat(name.length)).search(/[()]/);
  if (parenthesis > 0 && text[parenthesis - 1] === '%') {
    throw new RuleSyntaxError(column + parenthesis - 1, 'after "%" there must be "(name)s", or another "%"');
  }
  if (parenthesis >= 0) {
    throw new RuleSyntaxError(column + parenthesis, 'write a space or an operator around this parenthesis');
  }
  return { kind: 'check', text, column };
}
