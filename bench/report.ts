/** A run as Markdown. */
import { PEAK_GOAL_MEBIBYTES, SIZE_GOAL } from './cases.ts';
import type { ContenderResult } from './contest.ts';
import type { Missed } from './judgement.ts';
import { figuresOf, missedGoals, oursOf, peerOf, ratiosOf } from './judgement.ts';
import type { Machine } from './machine.ts';
import type { Cost } from './measure.ts';
import type { CaseResult, RunKind, RunResult } from './result-file.ts';
import { spreadOf } from './statistics.ts';

const COLUMNS = [
  'case',
  'wall s: qemu-img',
  'ours',
  'ratio',
  'goal',
  'CPU s: qemu-img',
  'ours',
  'ratio',
  'goal',
  'peak MiB: qemu-img, ours',
  'result MiB: qemu-img, ours',
  'goals met',
];

/** The head of the table. */
export const TABLE_HEAD: string = [row(COLUMNS), row(COLUMNS.map(() => '---'))].join('\n');

/** The rows of one case: ours against the peer, and below it what is not like for like. */
export function caseRows(result: CaseResult): string {
  const more = result.contenders.filter(({ isLikeForLike }) => !isLikeForLike);
  return [judgedRow(result), ...more.map((contender) => unjudgedRow(result, contender))].join('\n');
}

function judgedRow(result: CaseResult): string {
  const { goal, sizeGoal } = result;
  const cells = figureCells(result, oursOf(result), {
    wall: goal === undefined ? '' : `<= ${goal.wall.toFixed(2)}`,
    cpu: goal === undefined ? '' : `<= ${goal.cpu.toFixed(2)}`,
  });
  const sizes = sizeCell(result, oursOf(result), sizeGoal !== undefined);
  return row([result.name, ...cells, sizes, metText(missedGoals(result))]);
}

/** The row says by its name what is different, and has no goal. */
function unjudgedRow(result: CaseResult, contender: ContenderResult): string {
  const cells = figureCells(result, contender, { wall: '', cpu: '' });
  return row([`- ${contender.contender}*`, ...cells, sizeCell(result, contender, false), '']);
}

function figureCells(
  result: CaseResult,
  contender: ContenderResult,
  goals: { readonly wall: string; readonly cpu: string },
): string[] {
  const ratios = ratiosOf(result, contender);
  const peer = peerOf(result);
  const peaks = [peer, contender].map((each) => spreadOf(figuresOf(each, 'peakMebibytes')).max.toFixed(0));
  return [
    spreadText(peer, 'wallSeconds'),
    spreadText(contender, 'wallSeconds'),
    ratios.wall.toFixed(2),
    goals.wall,
    spreadText(peer, 'cpuSeconds'),
    spreadText(contender, 'cpuSeconds'),
    ratios.cpu.toFixed(2),
    goals.cpu,
    peaks.join(', '),
  ];
}

function sizeCell(result: CaseResult, contender: ContenderResult, showRatio: boolean): string {
  const peer = peerOf(result);
  if (peer.outputBytes === 0) return '';
  const sizes = [peer, contender].map(({ outputBytes }) => (outputBytes / 2 ** 20).toFixed(0)).join(', ');
  return showRatio ? `${sizes} (${ratiosOf(result, contender).size.toFixed(3)})` : sizes;
}

/** Whether the goals are met, in words. */
export function metText(missed: Missed): string {
  if (missed === undefined) return 'reported';
  return missed.length === 0 ? 'yes' : `no: ${missed.join(', ')}`;
}

/** The median, with the smallest and the largest behind it. */
function spreadText(contender: ContenderResult, key: keyof Cost): string {
  const { min, median, max } = spreadOf(figuresOf(contender, key));
  return min === max ? seconds(median) : `${seconds(median)} (${seconds(min)}-${seconds(max)})`;
}

function seconds(figure: number): string {
  return figure.toFixed(figure < 1 ? 3 : 2);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** The whole run: the machine, the table, what the columns mean. */
export function reportText(run: RunResult): string {
  return [
    `# ${run.startedAt.slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' ')} UTC, commit ${run.commit}, ${run.kind} run`,
    machineText(run.machine),
    `${run.disk}`,
    '## Figures',
    [TABLE_HEAD, ...run.cases.map(caseRows)].join('\n'),
    legend(run.kind),
    '## What was run',
    run.cases.map(({ name, title }) => `- ${name}: ${title}`).join('\n'),
    '',
  ].join('\n\n');
}

/** The machine in one paragraph. */
export function machineText(machine: Machine): string {
  const codecs = machine.codecs.length === 0 ? "Node's own" : machine.codecs.join(', ');
  return [
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGib} GiB of memory, ${machine.kernel}, ${machine.fileSystem}.`,
    `Node ${machine.node}, codecs: ${codecs}. Peer: ${machine.peer}.`,
    `Load at the start: ${machine.loadAtStart.toFixed(2)}.`,
  ].join('\n');
}

/** What the columns mean. */
export function legend(kind: RunKind): string {
  return kind === 'quick' ? `${LEGEND}\n${QUICK_LEGEND}` : LEGEND;
}

const LEGEND = [
  'Seconds are medians (smallest-largest). A ratio is the median over the pairs of neighbouring runs of ours / qemu-img; below 1 diskmorph is ahead.',
  `Compressed results may be ${SIZE_GOAL} times as large as qemu-img's, and no conversion may hold more than ${PEAK_GOAL_MEBIBYTES} MiB.`,
  '\\* Not like for like: `diskmorph convert` as it comes also computes the content id, reads its result back, and has it on the disk before it ends; `cp` copies the source file as it is, within the kernel, and looks at no byte.',
].join('\n');
const QUICK_LEGEND =
  'The goals are those of the full run. On this small disk the start of the programs weighs more: compare quick runs with quick runs.';
