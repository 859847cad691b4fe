import { expect, test } from 'vitest';
import { exampleCase, exampleContender, exampleRun } from './example-run.ts';
import { figuresText, withFigures } from './figures-text.ts';
import { missedGoals } from './judgement.ts';
import { ratioChart } from './ratio-chart.ts';
import { caseRows, reportText, TABLE_HEAD } from './report.ts';
import type { CaseResult } from './result-file.ts';
import { scalingChart } from './scaling-chart.ts';

const MIB = 2 ** 20;
const peer = exampleContender('qemu-img', [2], 100 * MIB);

test.each<{ name: string; result: CaseResult; missed: readonly string[] | undefined }>([
  { name: 'on the goal is met', result: exampleCase(), missed: [] },
  {
    name: 'slower misses wall and CPU',
    result: exampleCase({ contenders: [peer, exampleContender('diskmorph', [1.1], 100 * MIB)] }),
    missed: ['wall', 'CPU'],
  },
  {
    name: 'larger by more than the rule misses the size',
    result: exampleCase({ contenders: [peer, exampleContender('diskmorph', [1], 104 * MIB)] }),
    missed: ['size'],
  },
  {
    name: 'too much memory in one run of several',
    result: exampleCase({
      contenders: [
        exampleContender('qemu-img', [2, 2], 100 * MIB),
        {
          ...exampleContender('diskmorph', [], 100 * MIB),
          costs: [
            { wallSeconds: 1, cpuSeconds: 2, peakMebibytes: 90 },
            { wallSeconds: 1, cpuSeconds: 2, peakMebibytes: 151 },
          ],
        },
      ],
    }),
    missed: ['memory'],
  },
])('judged: $name', ({ result, missed }) => {
  expect(missedGoals(result)).toEqual(missed);
});

test('a case without a goal is not judged', () => {
  const { goal: _, ...result } = exampleCase();
  expect(missedGoals(result)).toBeUndefined();
  expect(caseRows(result)).toContain('| reported |');
});

test('a case has a row that is judged, and one that is marked as not like for like', () => {
  const [ours = '', verified = '', ...more] = caseRows(exampleCase()).split('\n');
  expect(more).toEqual([]);
  expect(ours).toBe(
    '| raw-to-qcow2-zlib | 3.00 (2.00-4.00) | 1.50 (1.00-2.00) | 0.50 | <= 0.50 | 6.00 (4.00-8.00) | 3.00 (2.00-4.00) | 0.50 | <= 0.50 | 64, 64 | 100, 100 (1.000) | yes |',
  );
  expect(verified).toContain('| - diskmorph, verified* | 3.00 (2.00-4.00) | 4.50 (3.00-6.00) | 1.50 |  |');
  const columns = TABLE_HEAD.split('\n')[0]?.split('|').length;
  expect([ours.split('|').length, verified.split('|').length]).toEqual([columns, columns]);
});

test('the report names the machine, the commit and what was run', () => {
  const text = reportText(exampleRun());
  expect(text).toContain('2026-02-03 04:05 UTC, commit abc1234, full run');
  expect(text).toContain("codecs: Node's own");
  expect(text).toContain('- raw-to-qcow2-zlib: the raw disk to qcow2 with -c');
  expect(text).not.toContain('compare quick runs');
  expect(reportText(exampleRun({ kind: 'quick' }))).toContain('compare quick runs with quick runs');
});

test('the page gets new figures between its marks and nowhere else', () => {
  const begin = '<!-- figures: written by `npm run bench:publish`, not by hand -->';
  const page = `before\n${begin}\nold\n<!-- end of figures -->\nafter\n`;
  const once = withFigures(page, figuresText(exampleRun(), '2026-02-03T04-05-06'));
  expect(once).toMatch(/^before\n/);
  expect(once).toMatch(/\nafter\n$/);
  expect(once).not.toContain('old');
  expect(once).toContain('| raw-to-qcow2-zlib | 3.00, 1.50 | 0.50 | 0.50 | 0.50 | 0.50 | 1.50, 1.50 | 64 | yes |');
  expect(once).toContain('| raw to qcow2 | 100 GiB | 0.200, 0.100 | 0.400, 0.200 | 64, 64 |');
  expect(withFigures(once, figuresText(exampleRun(), '2026-02-03T04-05-06'))).toBe(once);
  expect(() => withFigures('no marks', 'figures')).toThrow('lacks the lines');
});

test('the plot of ratios has a row for each case with a goal, and puts the marks left of 1 where we are ahead', () => {
  const svg = ratioChart(exampleRun());
  expect(svg.match(/<circle/g)).toHaveLength(2); // One in the legend.
  expect(svg).toContain('>raw-to-qcow2-zlib<');
  const even = Number(/x="([\d.]+)"[^>]*font-weight="600">1</.exec(svg)?.[1]);
  const mark = Number([...svg.matchAll(/<circle cx="([\d.]+)"/g)].at(-1)?.[1]);
  expect(mark).toBeLessThan(even);
});

test('the plot of sizes has a line for each program in each panel', () => {
  const svg = scalingChart(exampleRun());
  expect(svg.match(/<polyline/g)).toHaveLength(2);
  expect(svg).toContain('>100 GiB<');
});

test('a run without the growing disks has no plot of them', () => {
  expect(figuresText(exampleRun({ cases: [exampleCase()] }), 'x')).not.toContain('scaling');
});

test('plots of a run without such cases are still pictures', () => {
  const empty = exampleRun({ cases: [] });
  expect(ratioChart(empty)).toMatch(/^<svg[^]*<\/svg>\n$/);
  expect(scalingChart(empty)).not.toMatch(/NaN|Infinity/);
});
