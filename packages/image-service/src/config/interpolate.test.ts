import { expect, test } from 'vitest';
import { interpolate } from './interpolate.ts';

const options: Readonly<Record<string, string>> = {
  'own.dir': '/own',
  'DEFAULT.base': '/base',
  'DEFAULT.nested': '$base/nested',
  'DEFAULT.loop': '$loop',
  'task.work_dir': '/scratch',
};
const lookup = (group: string | undefined, name: string): string | undefined =>
  group === undefined ? (options[`own.${name}`] ?? options[`DEFAULT.${name}`]) : options[`${group}.${name}`];

test.each([
  { text: 'plain', expected: { text: 'plain' } },
  { text: '$dir/x', expected: { text: '/own/x' } },
  { text: '${base}x', expected: { text: '/basex' } },
  { text: '${task.work_dir}/x', expected: { text: '/scratch/x' } },
  { text: '$task.work_dir/x', expected: { text: '/scratch/x' } },
  { text: '$base.txt', expected: { text: '/base.txt' } },
  { text: '$nested', expected: { text: '/base/nested' } },
  { text: '$$base costs 5$', expected: { text: '$base costs 5$' } },
  { text: '$unknown', expected: { problem: '$unknown refers to an option that has no value' } },
  { text: '${task.unknown}', expected: { problem: '${task.unknown} refers to an option that has no value' } },
  { text: '$loop', expected: { problem: 'its references lead in a circle' } },
])('$text', ({ text, expected }) => {
  expect(interpolate(text, lookup)).toEqual(expected);
});
