import { expect, test } from 'vitest';
import { UsageError } from './command.ts';
import { parseTargetOptions } from './shared-options.ts';

test.each([
  { name: 'none', given: [], options: {} },
  { name: 'several in one', given: ['a=1,b=2'], options: { a: '1', b: '2' } },
  { name: 'several texts', given: ['a=1', 'b=2'], options: { a: '1', b: '2' } },
  { name: 'a key alone', given: ['lazy'], options: { lazy: 'on' } },
  { name: 'a value with an equals sign', given: ['a=b=c'], options: { a: 'b=c' } },
  { name: 'a doubled comma', given: ['a=x,,y,b=2'], options: { a: 'x,y', b: '2' } },
  { name: 'an empty value', given: ['a='], options: { a: '' } },
  { name: 'the same twice', given: ['a=1', 'a=1'], options: { a: '1' } },
])('takes $name', ({ given, options }) => {
  expect(parseTargetOptions(given)).toEqual(options);
});

test.each([{ given: ['=1'] }, { given: ['a=1,a=2'] }])('refuses $given', ({ given }) => {
  expect(() => parseTargetOptions(given)).toThrow(UsageError);
});
