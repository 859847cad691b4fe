/** The part of docs/performance.md that is made from a run. */
import { VERIFIED } from './contenders.ts';
import type { ContenderResult } from './contest.ts';
import { figuresOf, missedGoals, oursOf, peerOf, ratiosOf } from './judgement.ts';
import { machineText, metText } from './report.ts';
import type { CaseResult, RunResult } from './result-file.ts';
import { spreadOf } from './statistics.ts';

const BEGIN = '<!-- figures: written by `npm run bench:publish`, not by hand -->';
const END = '<!-- end of figures -->';

/** The page with what is between its two marks replaced. Throws an Error when a mark is missing. */
export function withFigures(page: string, figures: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page lacks the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n${figures}\n${page.slice(end)}`;
}

/** The tables and where they come from; `name` is that of the run's files without their ending. */
export function figuresText(run: RunResult, name: string): string {
  const scaling = run.cases.filter((result) => result.scaling !== undefined);
  const others = run.cases.filter((result) => result.scaling === undefined);
  return [
    `The run of ${run.startedAt.slice(0, 'YYYY-MM-DD'.length)} ([every figure](../bench/results/${name}.md)), commit ${run.commit}.`,
    machineText(run.machine),
    run.disk,
    '![Ratios of all cases](performance-ratios.svg)',
    [CASE_HEAD, ...others.map(caseRow)].join('\n'),
    ...scalingText(scaling),
  ].join('\n\n');
}

function scalingText(scaling: readonly CaseResult[]): string[] {
  if (scaling.length === 0) return [];
  return [
    'The same data in disks of growing size (CPU seconds of both programs):',
    '![CPU seconds against virtual size](performance-scaling.svg)',
    [SCALING_HEAD, ...scaling.map(scalingRow)].join('\n'),
  ];
}

const CASE_HEAD = [
  '| case | seconds: qemu-img, ours | wall ratio | goal | CPU ratio | goal | verified: wall, CPU | peak MiB | goals met |',
  '|---|---|---|---|---|---|---|---|---|',
].join('\n');

function caseRow(result: CaseResult): string {
  const ours = oursOf(result);
  const { wall, cpu } = ratiosOf(result, ours);
  const cells = [
    result.name,
    `${median(peerOf(result), 'wallSeconds')}, ${median(ours, 'wallSeconds')}`,
    wall.toFixed(2),
    result.goal?.wall.toFixed(2) ?? '',
    cpu.toFixed(2),
    result.goal?.cpu.toFixed(2) ?? '',
    verifiedText(result),
    spreadOf(figuresOf(ours, 'peakMebibytes')).max.toFixed(0),
    metText(missedGoals(result)),
  ];
  return `| ${cells.join(' | ')} |`;
}

function verifiedText(result: CaseResult): string {
  const verified = result.contenders.find(({ contender }) => contender === VERIFIED);
  if (verified === undefined) return '';
  const { wall, cpu } = ratiosOf(result, verified);
  return `${wall.toFixed(2)}, ${cpu.toFixed(2)}`;
}

const SCALING_HEAD = [
  '| conversion | virtual size | wall s: qemu-img, ours | CPU s: qemu-img, ours | peak MiB: qemu-img, ours |',
  '|---|---|---|---|---|',
].join('\n');

function scalingRow(result: CaseResult): string {
  const pair = [peerOf(result), oursOf(result)];
  const cells = [
    result.scaling?.series ?? '',
    `${result.scaling?.virtualGib ?? 0} GiB`,
    pair.map((each) => median(each, 'wallSeconds')).join(', '),
    pair.map((each) => median(each, 'cpuSeconds')).join(', '),
    pair.map((each) => spreadOf(figuresOf(each, 'peakMebibytes')).max.toFixed(0)).join(', '),
  ];
  return `| ${cells.join(' | ')} |`;
}

function median(contender: ContenderResult, key: 'wallSeconds' | 'cpuSeconds'): string {
  const figure = spreadOf(figuresOf(contender, key)).median;
  return figure.toFixed(figure < 1 ? 3 : 2);
}
