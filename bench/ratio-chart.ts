/** The plot of all ratios: one row a case, wall and CPU, with the goals. */
import { oursOf, ratiosOf } from './judgement.ts';
import type { CaseResult, RunResult } from './result-file.ts';
import { COLORS, element, label, line, picture } from './svg.ts';

const WIDTH = 860;
const LEFT = 250;
const RIGHT = 24;
const TOP = 84;
const ROW = 26;
const BOTTOM = 44;
const MARK = 4.5;
/** Wall and CPU lie this far above and below the middle of their row. */
const APART = 5.5;
const GOAL_HALF = 5.5;

/** Ratios from `low` to `high`, both powers of two, drawn on a logarithmic axis. */
interface Axis {
  readonly low: number;
  readonly high: number;
}

/** The ratios of the cases that have a goal, as SVG. */
export function ratioChart(run: RunResult): string {
  const judged = run.cases.filter(({ goal }) => goal !== undefined);
  const axis = axisFor(judged);
  const height = TOP + judged.length * ROW + BOTTOM;
  const bottom = height - BOTTOM;
  return picture({ width: WIDTH, height }, 'Time of diskmorph as a multiple of that of qemu-img, by conversion', [
    label(16, 28, 'Time of diskmorph / time of qemu-img', { 'font-size': 16, 'font-weight': 600 }),
    ...legend(),
    ...grid(axis, bottom),
    ...judged.flatMap((result, index) => caseMarks(result, TOP + (index + 0.5) * ROW, axis)),
    label((LEFT + WIDTH - RIGHT) / 2, height - 8, 'further left is faster; logarithmic', {
      'text-anchor': 'middle',
      fill: COLORS.muted,
    }),
  ]);
}

/** The smallest range between powers of two that holds every mark, and 1 with room on both sides. */
function axisFor(judged: readonly CaseResult[]): Axis {
  const figures = judged.flatMap((result) => {
    const { wall, cpu } = ratiosOf(result, oursOf(result));
    return [wall, cpu, result.goal?.wall ?? 1, result.goal?.cpu ?? 1];
  });
  return {
    low: 2 ** Math.floor(Math.log2(Math.min(0.5, ...figures))),
    high: 2 ** Math.ceil(Math.log2(Math.max(2, ...figures))),
  };
}

function place(ratio: number, { low, high }: Axis): number {
  return LEFT + (Math.log2(ratio / low) / Math.log2(high / low)) * (WIDTH - RIGHT - LEFT);
}

function grid(axis: Axis, bottom: number): string[] {
  const parts: string[] = [];
  for (let ratio = axis.low; ratio <= axis.high; ratio *= 2) {
    const x = place(ratio, axis);
    const isEven = ratio === 1;
    const stroke = isEven ? { stroke: COLORS.text, 'stroke-width': 1.5 } : { stroke: COLORS.faint };
    parts.push(line([x, TOP], [x, bottom], stroke));
    const name = ratio < 1 ? `1/${1 / ratio}` : String(ratio);
    parts.push(label(x, bottom + 18, name, { 'text-anchor': 'middle', ...(isEven ? { 'font-weight': 600 } : {}) }));
  }
  return parts;
}

function caseMarks(result: CaseResult, y: number, axis: Axis): string[] {
  const { wall, cpu } = ratiosOf(result, oursOf(result));
  return [
    label(LEFT - 14, y + 4, result.name, { 'text-anchor': 'end' }),
    line([LEFT, y + ROW / 2], [WIDTH - RIGHT, y + ROW / 2], { stroke: COLORS.faint, 'stroke-width': 0.5 }),
    goalMark(place(result.goal?.wall ?? 1, axis), y - APART, COLORS.first),
    goalMark(place(result.goal?.cpu ?? 1, axis), y + APART, COLORS.second),
    wallMark(place(wall, axis), y - APART),
    cpuMark(place(cpu, axis), y + APART),
  ];
}

function goalMark(x: number, y: number, color: string): string {
  return line([x, y - GOAL_HALF], [x, y + GOAL_HALF], { stroke: color, 'stroke-width': 2 });
}

function wallMark(x: number, y: number): string {
  return element('circle', { cx: x, cy: y, r: MARK, fill: COLORS.first });
}

function cpuMark(x: number, y: number): string {
  const points = `${x - MARK},${y} ${x},${y - MARK} ${x + MARK},${y} ${x},${y + MARK}`;
  return element('polygon', { points, fill: '#ffffff', stroke: COLORS.second, 'stroke-width': 2 });
}

function legend(): string[] {
  const y = 54;
  return [
    wallMark(22, y),
    label(34, y + 4, 'wall'),
    cpuMark(90, y),
    label(102, y + 4, 'CPU'),
    goalMark(156, y, COLORS.first),
    goalMark(163, y, COLORS.second),
    label(173, y + 4, 'goals: a mark is to be on that of its colour, or left of it'),
  ];
}
