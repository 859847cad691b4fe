import { RuleSyntaxError } from './errors.ts';
import type { CallerAttribute, Rule, Template } from './rule.ts';
import { CALLER_ATTRIBUTES } from './rule.ts';

/**
 * One check of a rule: `@`, `!`, `role:name`, `rule:name`, `attribute:value` or `'literal':value`. `column` is that of
 * its first character. Throws `RuleSyntaxError`.
 */
export function parseCheck(text: string, column: number): Rule {
  if (text === '@') return { kind: 'always' };
  if (text === '!') return { kind: 'never' };
  const colon = text.indexOf(':');
  if (colon < 0) throw new RuleSyntaxError(column, `"${text}" is not a check: "kind:value", "@" or "!" is expected`);
  const left = text.slice(0, colon);
  const right = text.slice(colon + 1);
  const rightColumn = column + colon + 1;
  if (left === '') throw new RuleSyntaxError(column, 'there is nothing before the colon');
  if (right === '') throw new RuleSyntaxError(rightColumn, 'there is nothing after the colon');
  if (/^["']|["']$/.test(right))
    throw new RuleSyntaxError(rightColumn, 'write the value after the colon without quotes');
  if (left === 'rule') return ruleReference(right, rightColumn);
  const value = parseTemplate(right, rightColumn);
  if (left === 'role') return { kind: 'role', name: value };
  const literal = literalText(left);
  if (literal !== undefined) return { kind: 'literal', literal, value };
  return { kind: 'attribute', attribute: callerAttribute(left, column), value };
}

function ruleReference(name: string, column: number): Rule {
  if (name.includes('%')) throw new RuleSyntaxError(column, 'the name of a rule cannot hold "%"');
  return { kind: 'rule', name, column };
}

/** What stands for itself left of the colon: a quoted text, a number, `True`, `False` or `None`, as Python writes them. */
function literalText(left: string): string | undefined {
  const quoted = /^(["'])([^"'\\]*)\1$/.exec(left);
  if (quoted !== null) return quoted[2] ?? '';
  return /^(?:True|False|None|-?\d+)$/.test(left) ? left : undefined;
}

function callerAttribute(name: string, column: number): CallerAttribute {
  const known = CALLER_ATTRIBUTES.find((attribute) => attribute === name);
  if (known !== undefined) return known;
  if (/["']/.test(name)) throw new RuleSyntaxError(column, `${name} is not a text in quotes without spaces`);
  if (name === 'http' || name === 'https') {
    throw new RuleSyntaxError(column, 'checks that ask another server are not supported');
  }
  const choices = ['role', 'rule', ...CALLER_ATTRIBUTES].join(', ');
  throw new RuleSyntaxError(column, `"${name}" is nothing that is known of a caller; known: ${choices}`);
}

/** Text with `%(name)s` for attributes of the target and `%%` for a percent sign. */
function parseTemplate(text: string, column: number): Template {
  const pieces: (string | { readonly attribute: string })[] = [];
  let at = 0;
  while (at < text.length) {
    const percent = text.indexOf('%', at);
    if (percent < 0) break;
    if (percent > at) pieces.push(text.slice(at, percent));
    const reference = /^%(?:\((\w+)\)s|(%))/.exec(text.slice(percent));
    if (reference === null) {
      throw new RuleSyntaxError(column + percent, 'after "%" there must be "(name)s", or another "%"');
    }
    pieces.push(reference[1] === undefined ? '%' : { attribute: reference[1] });
    at = percent + reference[0].length;
  }
  if (at < text.length) pieces.push(text.slice(at));
  return pieces;
}
