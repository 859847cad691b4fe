import { describe, expect, test } from 'vitest';
import { parseIni } from './ini.ts';

const cases: readonly { name: string; text: string; entries: readonly (readonly [string, string, string])[] }[] = [
  { name: 'an equals sign', text: '[task]\nwork_dir = /a', entries: [['task', 'work_dir', '/a']] },
  { name: 'a colon', text: '[task]\nwork_dir : /a', entries: [['task', 'work_dir', '/a']] },
  {
    name: 'the first of both signs counts',
    text: 'a = b:c\nd : e=f',
    entries: [
      ['DEFAULT', 'a', 'b:c'],
      ['DEFAULT', 'd', 'e=f'],
    ],
  },
  { name: 'no spaces', text: 'a=b', entries: [['DEFAULT', 'a', 'b']] },
  { name: 'an empty value', text: 'a =', entries: [['DEFAULT', 'a', '']] },
  { name: 'a value keeps ; and #', text: 'password = ab;cd#ef', entries: [['DEFAULT', 'password', 'ab;cd#ef']] },
  { name: 'comments', text: '# a = b\n; c = d\n[x]\n#[y]\na = 1', entries: [['x', 'a', '1']] },
  {
    name: 'a repeated key',
    text: 'a = 1\na = 2',
    entries: [
      ['DEFAULT', 'a', '1'],
      ['DEFAULT', 'a', '2'],
    ],
  },
  {
    name: 'continuation lines',
    text: 'a = 1,\n  2,\n\t3\nb = 4',
    entries: [
      ['DEFAULT', 'a', '1,\n2,\n3'],
      ['DEFAULT', 'b', '4'],
    ],
  },
  { name: 'a comment between continuation lines', text: 'a = 1,\n# no\n  2', entries: [['DEFAULT', 'a', '1,\n2']] },
  { name: 'double quotes', text: 'a = " x "', entries: [['DEFAULT', 'a', ' x ']] },
  { name: 'single quotes', text: "a = 'x'", entries: [['DEFAULT', 'a', 'x']] },
  { name: 'a lone quote', text: 'a = "', entries: [['DEFAULT', 'a', '"']] },
  { name: 'line ends of Windows', text: '[a]\r\nb = c\r\n', entries: [['a', 'b', 'c']] },
  { name: 'a byte order mark', text: '\uFEFF[a]\nb = c', entries: [['a', 'b', 'c']] },
  {
    name: 'a section twice',
    text: '[a]\nb = 1\n[c]\nd = 2\n[a]\ne = 3',
    entries: [
      ['a', 'b', '1'],
      ['c', 'd', '2'],
      ['a', 'e', '3'],
    ],
  },
];

test.each(cases)('reads $name', ({ text, entries }) => {
  const file = parseIni(text, 'x.conf');
  expect(file.problems).toEqual([]);
  expect(file.entries.map(({ section, key, value }) => [section, key, value])).toEqual(entries);
});

describe('lines that say nothing are problems with their place', () => {
  test.each([
    { name: 'no sign at all', text: '\nnonsense', origin: 'x.conf:2' },
    { name: 'no key', text: '= value', origin: 'x.conf:1' },
    { name: 'an open section header', text: '[task\na = b', origin: 'x.conf:1' },
    { name: 'an empty section header', text: '[]', origin: 'x.conf:1' },
    { name: 'a continuation of nothing', text: '[a]\n  b', origin: 'x.conf:2' },
    { name: 'a continuation after a blank line', text: 'a = b\n\n  c', origin: 'x.conf:3' },
  ])('$name', ({ text, origin }) => {
    expect(parseIni(text, 'x.conf').problems.map((problem) => problem.origin)).toEqual([origin]);
  });
});
