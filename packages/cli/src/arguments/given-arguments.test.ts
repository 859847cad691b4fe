import { expect, test } from 'vitest';
import type { Command } from './command.ts';
import { UsageError } from './command.ts';
import { parseArguments } from './given-arguments.ts';

const command: Command = {
  name: 'try',
  summary: '',
  operands: ['A', 'B'],
  optionalOperands: 1,
  options: [
    { long: 'format', short: 'f', value: 'FMT', summary: '' },
    { long: 'option', short: 'o', value: 'KEY=VALUE', repeatable: true, summary: '' },
    { long: 'compress', short: 'c', value: 'METHOD', valueIsOptional: true, summary: '' },
    { long: 'force', summary: '' },
    { long: 'no-verify', summary: '' },
    { long: 'workers', value: 'N', summary: '' },
  ],
  examples: [],
  run: async () => 0,
};

test.each([
  { name: 'a long option with its value behind it', line: ['--format', 'raw', 'a'], option: 'format', values: ['raw'] },
  { name: 'a long option with its value in it', line: ['--format=raw', 'a'], option: 'format', values: ['raw'] },
  { name: 'a short option', line: ['-f', 'raw', 'a'], option: 'format', values: ['raw'] },
  { name: 'a short option with its value in it', line: ['-fraw', 'a'], option: 'format', values: ['raw'] },
  { name: 'the last of several', line: ['-f', 'raw', 'a', '-f', 'vmdk'], option: 'format', values: ['vmdk'] },
  {
    name: 'all of a repeatable option',
    line: ['-o', 'x=1', 'a', '-o', 'y=2'],
    option: 'option',
    values: ['x=1', 'y=2'],
  },
  { name: 'an optional value left out', line: ['-c', 'a'], option: 'compress', values: [] },
  { name: 'an optional value given', line: ['--compress=zstd', 'a'], option: 'compress', values: ['zstd'] },
  { name: 'a flag that begins with no', line: ['--no-verify', 'a'], option: 'no-verify', values: [] },
])('takes $name', ({ line, option, values }) => {
  const given = parseArguments(command, line);
  expect(given.has(option)).toBe(true);
  expect(given.all(option)).toEqual(values);
  expect(given.operands).toEqual(['a']);
});

test('everything behind -- is an operand', () => {
  expect(parseArguments(command, ['--', '--force', '-f']).operands).toEqual(['--force', '-f']);
});

test.each([
  {
    name: 'an unknown option',
    line: ['--forma', 'raw', 'a'],
    says: 'There is no option --forma; did you mean --format?',
  },
  { name: 'an unknown letter', line: ['-x', 'a'], says: 'There is no option -x' },
  { name: 'a missing value', line: ['a', '--format'], says: '--format needs a value: --format FMT' },
  { name: 'a value where none belongs', line: ['--force=1', 'a'], says: '--force takes no value' },
  { name: 'a missing operand', line: ['--force'], says: 'A is missing' },
  { name: 'one operand too many', line: ['a', 'b', 'c'], says: '"c" is one argument too many' },
])('refuses $name', ({ line, says }) => {
  expect(() => parseArguments(command, line)).toThrow(new UsageError(says));
});

test.each(['-1', '1.5', 'x', '', '1e3', '99999999999999999999'])('"%s" is no whole number', (text) => {
  const given = parseArguments(command, [`--workers=${text}`, 'a']);
  expect(() => given.integer('workers', 0)).toThrow(UsageError);
});

test('a whole number is taken from its least value on', () => {
  const given = parseArguments(command, ['--workers', '2', 'a']);
  expect(given.integer('workers', 2)).toBe(2);
  expect(() => given.integer('workers', 3)).toThrow(UsageError);
});
