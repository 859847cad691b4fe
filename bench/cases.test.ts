import { expect, test } from 'vitest';
import { caseTitle } from './case-title.ts';
import { cases, selectCases } from './cases.ts';
import { contendersOf } from './contenders.ts';
import { loadedCodecs } from './machine.ts';
import { resultName } from './result-file.ts';
import { readSettings } from './settings.ts';
import { variantsFor } from './sources.ts';

const programs = {
  qemuImg: '/p/qemu-img',
  dropIn: '/o/qemu-img',
  diskmorph: '/o/diskmorph.js',
  node: '/n/node',
  shell: '/b/bash',
  sha512sum: '/b/sha512sum',
  cp: '/b/cp',
};
const places = { source: '/s', other: '/s2', target: '/t' };

test('every case has a name of its own, which is no group', () => {
  const names = cases.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => cases.some(({ group }) => group === name))).toEqual([]);
});

test.each([
  { only: [], quick: false, count: cases.length },
  { only: ['scaling'], quick: false, count: 6 },
  { only: ['info', 'sparse'], quick: false, count: 2 },
  { only: [], quick: true, count: cases.filter(({ quick }) => quick).length },
])('$only with quick $quick selects $count cases', ({ only, quick, count }) => {
  expect(selectCases({ only, quick })).toHaveLength(count);
});

test('a name that is none is answered with those there are', () => {
  expect(() => selectCases({ only: ['infos'], quick: false })).toThrow(/no case infos; there are:[^]*\n {2}info\n/);
  expect(() => selectCases({ only: ['scaling'], quick: true })).toThrow('no quick case scaling');
});

test('only the variants that are read are made', () => {
  expect(variantsFor(selectCases({ only: ['compare-qcow2-raw', 'vdi-to-raw', 'write'], quick: false }))).toEqual([
    'vdi',
    'qcow2',
  ]);
});

test('our drop-in gets the very command line of the peer', () => {
  for (const { task } of cases.filter((each) => each.task.kind !== 'convert-and-hash')) {
    const [peer, ours] = contendersOf(task, programs).map(({ commandLine }) => commandLine(places));
    expect(peer?.program).toBe(programs.qemuImg);
    expect(ours).toEqual({ ...peer, program: programs.dropIn });
  }
});

test('conversions by the peer are told its best options', () => {
  const { task } = selectCases({ only: ['raw-to-qcow2-zstd'], quick: false })[0] ?? { task: undefined };
  const [peer] = task === undefined ? [] : contendersOf(task, programs);
  expect(peer?.commandLine(places).programArguments.join(' ')).toBe(
    'convert -W -m 16 -f raw -O qcow2 -c -o compression_type=zstd /s /t',
  );
});

test('the system copies the source where bytes only move, and is checked as a copy', () => {
  const copied = cases.flatMap(({ name, task }) => {
    const copy = contendersOf(task, programs).find((contender) => contender.name === 'cp');
    return copy === undefined ? [] : [{ name, copy }];
  });
  expect(copied.map(({ name }) => name)).toEqual(['qcow2-to-raw', 'fragmented-qcow2-to-raw', 'raw-to-qcow2']);
  for (const { copy } of copied) {
    expect(copy.isLikeForLike).toBe(false);
    expect(copy.commandLine(places)).toEqual({ program: '/b/cp', programArguments: ['--reflink=never', '/s', '/t'] });
  }
  expect(copied.map(({ copy }) => copy.task)).toMatchObject([
    { targetFormat: 'qcow2' },
    { targetFormat: 'qcow2' },
    { targetFormat: 'raw' },
  ]);
});

test.each(cases.map((each) => ({ name: each.name, each })))('$name is said in words', ({ each }) => {
  expect(caseTitle(each.task)).toMatch(/^\S.{10,}/);
});

test.each([
  { line: [], expected: { only: [], quick: false, pairs: 5, diskBytes: 4 * 2 ** 30 } },
  { line: ['--quick'], expected: { only: [], quick: true, pairs: 2, diskBytes: 2 ** 29 } },
  {
    line: ['--only', 'a,b', '--only=c', '--pairs', '9'],
    expected: { only: ['a', 'b', 'c'], quick: false, pairs: 9, diskBytes: 4 * 2 ** 30 },
  },
  { line: ['--help'], expected: undefined },
])('the settings of $line', ({ line, expected }) => {
  expect(readSettings(line)).toEqual(expected);
});

test.each([
  { line: ['--pairs', '0'], complaint: '--pairs 0 is not a whole number' },
  { line: ['--pairs', 'x'], complaint: '--pairs x is not a whole number' },
  { line: ['--pairs', '1e9'], complaint: 'from 1 to 1000' },
  { line: ['--fast'], complaint: '--fast' },
  { line: ['info'], complaint: 'info' },
])('the command line $line is refused', ({ line, complaint }) => {
  expect(() => readSettings(line)).toThrow(complaint);
});

test.each([
  { kind: 'full', name: '2026-02-03T04-05-06' },
  { kind: 'quick', name: '2026-02-03T04-05-06-quick' },
] as const)('the files of a $kind run are called $name', ({ kind, name }) => {
  expect(resultName({ startedAt: '2026-02-03T04:05:06.789Z', kind })).toBe(name);
});

test('codecs are recognised in what the dynamic linker says', () => {
  const trace =
    '12:\tcalling init: /lib/libdeflate.so.0\n12:\tcalling init: /lib/libc.so.6\n12:\tcalling fini: /x/libzstd.so.1\n';
  expect(loadedCodecs(trace)).toEqual(['libdeflate.so.0']);
});
