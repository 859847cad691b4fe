import { expect, test } from 'vitest';
import { Failure } from '../failure.ts';
import type { OptionSpec } from './getopt.ts';
import { parseLine } from './getopt.ts';

const SPECS: readonly OptionSpec[] = [
  { short: 'f', long: 'format', takes: 'value' },
  { short: 'q', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
  { long: 'output', takes: 'value' },
  { long: 'object', takes: 'value' },
  { short: 'o', takes: 'value' },
];

function parse(...args: string[]): string {
  const { options, operands } = parseLine(['info', ...args], SPECS);
  return [...options.map(({ name, value }) => (value === '' ? name : `${name}:${value}`)), ...operands].join(' ');
}

test.each([
  { name: 'a value of its own', args: ['-f', 'raw', 'x'], got: 'format:raw x' },
  { name: 'a glued value', args: ['-fvpc', 'x'], got: 'format:vpc x' },
  { name: 'joined letters, the last with a value', args: ['-qUf', 'raw', 'x'], got: 'q force-share format:raw x' },
  { name: 'joined letters and a glued value', args: ['-qfraw', 'x'], got: 'q format:raw x' },
  { name: 'a long name with =', args: ['--output=json', 'x'], got: 'output:json x' },
  { name: 'a long name and its value apart', args: ['--output', 'json'], got: 'output:json' },
  { name: 'a long name cut short', args: ['--outp', 'json', '--form=raw'], got: 'output:json format:raw' },
  { name: 'an exact name that begins another', args: ['--output=json'], got: 'output:json' },
  { name: 'options after operands', args: ['x', '--force-share', '-f', 'raw'], got: 'force-share format:raw x' },
  { name: 'operands after --', args: ['-q', '--', '-5', '-f'], got: 'q -5 -f' },
  { name: 'a value that begins with a minus', args: ['-o', '-x=1', '--output', '--json'], got: 'o:-x=1 output:--json' },
  { name: 'a lone minus', args: ['-'], got: '-' },
  { name: 'an empty value', args: ['-o', '', 'x'], got: 'o x' },
])('getopt takes $name', ({ args, got }) => {
  expect(parse(...args)).toBe(got);
});

test.each([
  { args: ['-Z', 'x'], message: "unrecognized option '-Z'" },
  { args: ['--frob', 'x'], message: "unrecognized option '--frob'" },
  { args: ['--o', 'x'], message: "unrecognized option '--o'" },
  { args: ['--force-share=1'], message: "unrecognized option '--force-share=1'" },
  { args: ['-f'], message: "missing argument for option '-f'" },
  { args: ['--output'], message: "missing argument for option '--output'" },
  { args: ['-Zq', 'x'], message: "unrecognized option 'info'" },
])('getopt refuses $args', ({ args, message }) => {
  expect(() => parse(...args)).toThrow(Failure);
  expect(() => parse(...args)).toThrow(`${message}\nTry 'qemu-img --help' for more information`);
});
