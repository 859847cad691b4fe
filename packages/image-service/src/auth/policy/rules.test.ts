import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Caller, PolicyTarget } from '../caller.ts';
import { LOCAL_ADMINISTRATOR } from '../caller.ts';
import { PolicyError, RuleSyntaxError } from './errors.ts';
import { evaluateRule } from './evaluate-rule.ts';
import { parseRule } from './parse-rule.ts';
import { makePolicy } from './policy.ts';

const NOBODY: Caller = { ...LOCAL_ADMINISTRATOR, roles: [], isAdmin: false };
const ANN: Caller = {
  ...NOBODY,
  userId: 'ann',
  userDomainId: 'default',
  projectId: 'p1',
  projectName: 'demo',
  roles: ['member', 'reader'],
  serviceRoles: ['service'],
};

function allows(rule: string, caller: Caller = ANN, target: PolicyTarget = {}): boolean {
  return makePolicy(new Map([['tested', rule]])).policy.allows('tested', caller, target);
}

function problemsOf(rules: Readonly<Record<string, string>>): readonly (readonly (string | number | undefined)[])[] {
  try {
    makePolicy(new Map(Object.entries(rules)));
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return error.problems.map(({ rule, column, message }) => [rule, column, message]);
  }
  return [];
}

describe('a rule holds or not', () => {
  test.each<[rule: string, holds: boolean, target?: PolicyTarget]>([
    ['', true],
    ['   ', true],
    ['@', true],
    ['!', false],
    ['not !', true],
    ['NOT @', false],
    ['role:member', true],
    ['role:MEMBER', true],
    ['role:admin', false],
    ['role:%(needed)s', true, { needed: 'Member' }],
    ['role:%(needed)s', false, {}],
    ['role:reader and role:member', true],
    ['role:reader and role:admin', false],
    ['role:admin or role:member', true],
    ['role:admin and role:member or role:reader', true],
    ['role:reader or role:member and role:admin', true],
    ['(role:reader or role:member) and role:admin', false],
    ['not role:admin and role:member', true],
    ['not (role:admin or role:member)', false],
    ['not not role:member', true],
    ['((role:member))', true],
    ['project_id:%(project_id)s', true, { project_id: 'p1' }],
    ['project_id:%(project_id)s', false, { project_id: 'p2' }],
    ['project_id:%(project_id)s', false, { project_id: null }],
    ['project_id:%(project_id)s', false, {}],
    ['tenant:%(owner)s', true, { owner: 'p1' }],
    ['(project_id:%(project_id)s)', true, { project_id: 'p1' }],
    ['user_id:ann', true],
    ['user:ann', true],
    ['user_id:%(user_id)s', true, { user_id: 'ann' }],
    ['user_domain_id:default', true],
    ['service_roles:service', true],
    ['roles:member', true],
    ['is_admin:True', false],
    ['is_admin:False', true],
    ['is_admin:true', false],
    ['is_admin_project:True', true],
    ['system_scope:all', false],
    ['domain_id:None', true],
    ['project_id:p%(number)s', true, { number: 1 }],
    ["'public':%(visibility)s", true, { visibility: 'public' }],
    ['"public":%(visibility)s', false, { visibility: 'private' }],
    ["'public':%(visibility)s", false, {}],
    ["'%':%%", true],
    ['True:%(protected)s', true, { protected: true }],
    ['True:%(protected)s', false, { protected: false }],
    ['None:%(owner)s', true, { owner: null }],
    ['None:%(owner)s', false, { owner: 'p1' }],
    ['7:%(count)s', true, { count: 7 }],
    ['rule:context_is_admin', false],
    ['rule:default', true],
    ['not rule:metadef_admin', true],
  ])('%j: %s', (rule, holds, target = {}) => {
    expect(allows(rule, ANN, target)).toBe(holds);
  });

  test('a caller without a project does not own what nobody owns', () => {
    expect(allows('project_id:%(project_id)s', NOBODY, { project_id: null })).toBe(false);
    expect(allows('project_id:%(project_id)s', NOBODY, { project_id: 'None' })).toBe(false);
  });

  test('what an object has by birth is no attribute of a target', () => {
    expect(allows('not user_id:%(constructor)s', ANN, {})).toBe(true);
    expect(allows("'x':%(toString)s", ANN, {})).toBe(false);
  });

  test('a rule that nobody defined lets nobody', () => {
    expect(makePolicy().policy.allows('no_such_rule', LOCAL_ADMINISTRATOR, {})).toBe(false);
  });

  test('a rule of the file takes the place of the default everywhere it is named', () => {
    const { policy, warnings } = makePolicy(new Map([['context_is_admin', 'role:reader']]));
    expect(policy.allows('publicize_image', ANN, {})).toBe(true);
    expect(warnings).toEqual([]);
  });

  test('a rule that nothing asks for and no rule names is warned about', () => {
    const { warnings } = makePolicy(
      new Map([
        ['mine', 'role:x'],
        ['get_imagez', '@'],
        ['get_image', 'rule:mine'],
      ]),
    );
    expect(warnings).toEqual([expect.stringContaining('"get_imagez"')]);
  });
});

describe('a bad rule is refused with its name and column', () => {
  test.each<[rule: string, column: number, message: string]>([
    ['admin', 1, '"admin" is not a check'],
    ['role:a and', 11, 'a check is missing at the end'],
    ['role:a and and role:b', 12, 'a check is missing before "and"'],
    ['or role:b', 1, 'a check is missing before "or"'],
    ['role:a role:b', 8, '"and" or "or" is missing before "role:b"'],
    ['role:a not role:b', 8, '"and" or "or" is missing before "not"'],
    ['(role:a', 1, 'this parenthesis is not closed'],
    ['role:a)', 7, 'this parenthesis closes nothing'],
    ['()', 2, 'a check is missing before ")"'],
    ['not', 4, 'a check is missing at the end'],
    ['role:a and (role:b or )', 23, 'a check is missing before ")"'],
    ['role:', 6, 'there is nothing after the colon'],
    [':x', 1, 'there is nothing before the colon'],
    ['role:"a"', 6, 'without quotes'],
    ['owner:%(project_id)s', 1, '"owner" is nothing that is known of a caller'],
    ['https://policy.example/%(x)s', 1, 'checks that ask another server are not supported'],
    ['project_id:%(project_id)', 12, 'after "%"'],
    ['project_id:%(project_id)d', 12, 'after "%"'],
    ['project_id:%s', 12, 'after "%"'],
    ['project_id:50%', 14, 'after "%"'],
    ['rule:%(x)s', 6, 'cannot hold "%"'],
    ['not(role:a)', 4, 'write a space or an operator'],
    ["'a b':%(x)s", 1, 'is not a check'],
    ["'ab:%(x)s", 1, 'is not a text in quotes'],
    ['role:member or rule:nowhere', 21, 'there is no rule "nowhere"'],
    [`${'('.repeat(129)}role:a${')'.repeat(129)}`, 129, 'lies too deep'],
    [`role:a${' '.repeat(16_384)}`, 16_385, 'longer than'],
  ])('%s', (rule, column, message) => {
    expect(problemsOf({ tested: rule })).toEqual([['tested', column, expect.stringContaining(message)]]);
  });

  test('all problems are listed at once', () => {
    expect(problemsOf({ get_image: 'x', own: 'role:', add_image: '@' })).toHaveLength(2);
  });

  test.each<[rules: Readonly<Record<string, string>>, circle: string]>([
    [{ a: 'rule:a' }, 'a -> a'],
    [{ a: 'role:x or rule:b', b: 'not rule:a' }, 'a -> b -> a'],
    [{ context_is_admin: 'rule:get_image' }, 'context_is_admin -> get_image -> context_is_admin'],
  ])('rules in a circle: %j', (rules, circle) => {
    const first = problemsOf(rules).find(([, , message]) => String(message).includes(circle));
    expect(first?.[2]).toBe(`leads in a circle: ${circle}`);
  });

  test('the way through other rules is bounded', () => {
    const chain = Object.fromEntries(
      Array.from({ length: 400 }, (_, index) => [`r${index}`, index === 0 ? '@' : `rule:r${index - 1}`]),
    );
    expect(problemsOf(chain).length).toBeGreaterThan(0);
    const reversed = Object.fromEntries(Object.entries(chain).toReversed());
    expect(problemsOf(reversed).length).toBeGreaterThan(0);
  });

  test('rules that double with each other are refused before they are tried', () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [
        `r${index}`,
        index === 0 ? 'role:no' : `rule:r${index - 1} or rule:r${index - 1}`,
      ]),
    );
    expect(problemsOf(doubling).length).toBeGreaterThan(0);
  });

  test('more rules than the limit are refused', () => {
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`r${index}`, '@']));
    expect(problemsOf(many)).toEqual([[undefined, undefined, 'there are more than 2000 rules']]);
  });
});

/** A rule as text, and whether it holds for ANN: told by the generator, not by the parser. */
interface Told {
  readonly text: string;
  readonly holds: boolean;
}

const leaf: fc.Arbitrary<Told> = fc.constantFrom(
  { text: '@', holds: true },
  { text: '!', holds: false },
  { text: 'role:member', holds: true },
  { text: 'role:other', holds: false },
  { text: 'user_id:ann', holds: true },
  { text: 'project_id:%(project_id)s', holds: true },
  { text: "'private':%(visibility)s", holds: false },
);
const space = fc.constantFrom(' ', '  ', '\t', '\n ');
const { expression } = fc.letrec<{ expression: Told; term: Told; factor: Told }>((tie) => ({
  expression: fc.tuple(fc.array(tie('term'), { minLength: 1, maxLength: 3 }), space).map(([terms, gap]) => ({
    text: terms.map((term) => term.text).join(`${gap}or${gap}`),
    holds: terms.some((term) => term.holds),
  })),
  term: fc.tuple(fc.array(tie('factor'), { minLength: 1, maxLength: 3 }), space).map(([factors, gap]) => ({
    text: factors.map((factor) => factor.text).join(`${gap}AND${gap}`),
    holds: factors.every((factor) => factor.holds),
  })),
  factor: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('expression').map(({ text, holds }) => ({ text: `(${text})`, holds })),
    tie('factor').map(({ text, holds }) => ({ text: `not ${text}`, holds: !holds })),
  ),
}));

describe('any rule', () => {
  test('means what it was built to mean', () => {
    fc.assert(
      fc.property(expression, ({ text, holds }) => {
        fc.pre(text.length < 4000);
        const subject = { rules: new Map(), caller: ANN, target: { project_id: 'p1', visibility: 'public' } };
        expect(evaluateRule(parseRule(text), subject)).toBe(holds);
      }),
      { numRuns: 500 },
    );
  });

  test('is read or refused at a column of its text, whatever it holds', () => {
    const word = fc.constantFrom(
      '(',
      ')',
      'and',
      'or',
      'not',
      '@',
      '!',
      'role:a',
      'x:',
      '%',
      '%(a)s',
      "'",
      '"',
      ' ',
      ':',
    );
    const garbage = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.array(word, { maxLength: 20 }).map((words) => words.join('')),
    );
    fc.assert(
      fc.property(garbage, (text) => {
        try {
          parseRule(text);
        } catch (error) {
          if (!(error instanceof RuleSyntaxError)) throw error;
          expect(error.column).toBeGreaterThanOrEqual(1);
          expect(error.column).toBeLessThanOrEqual(text.length + 1);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('among any rules that name each other, is measured or refused, and then ends', () => {
    const graph = fc.array(fc.array(fc.nat(12), { maxLength: 4 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(graph, (edges) => {
        const rules = edges.map((targets, index): [string, string] => [
          `r${index}`,
          targets.length === 0 ? '@' : targets.map((target) => `rule:r${target % edges.length}`).join(' and '),
        ]);
        try {
          const { policy } = makePolicy(new Map(rules));
          for (const [name] of rules) expect(policy.allows(name, ANN, {})).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(PolicyError);
          expect(String(error)).toContain('leads in a circle');
        }
      }),
    );
  });
});
