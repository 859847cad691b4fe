/** The plot of the same data in disks of growing size. */
import type { ContenderResult } from './contest.ts';
import { figuresOf, oursOf, peerOf } from './judgement.ts';
import type { CaseResult, RunResult } from './result-file.ts';
import { spreadOf } from './statistics.ts';
import { COLORS, element, label, line, picture } from './svg.ts';

const PANEL_WIDTH = 430;
const HEIGHT = 300;
const MARGIN = { left: 62, right: 24, top: 84, bottom: 52 } as const;
const MARK = 4;
const NAME_ABOVE = -10;
const NAME_BELOW = 20;
/** The axis ends at the next of these times a power of ten. */
const ROUND_STEPS = [1, 2, 5, 10];
const TICKS = 4;

/** CPU seconds against virtual size, a panel for each direction, as SVG. */
export function scalingChart(run: RunResult): string {
  const points = run.cases.filter(({ scaling }) => scaling !== undefined);
  const series = [...new Set(points.map(({ scaling }) => scaling?.series ?? ''))];
  const top = roundedUp(Math.max(...points.flatMap((point) => [cpuOf(peerOf(point)), cpuOf(oursOf(point))])));
  const size = { width: PANEL_WIDTH * Math.max(1, series.length), height: HEIGHT };
  return picture(size, 'CPU time of both programs for the same data in disks of growing virtual size', [
    label(16, 28, 'The same data in a larger disk: CPU seconds', { 'font-size': 16, 'font-weight': 600 }),
    ...series.flatMap((name, index) =>
      panel(
        name,
        points.filter(({ scaling }) => scaling?.series === name),
        {
          left: index * PANEL_WIDTH,
          top,
        },
      ),
    ),
  ]);
}

interface Frame {
  /** Where the panel begins. */
  readonly left: number;
  /** CPU seconds at the upper end of the axis. */
  readonly top: number;
}

function panel(name: string, points: readonly CaseResult[], frame: Frame): string[] {
  const middle = frame.left + (MARGIN.left + PANEL_WIDTH - MARGIN.right) / 2;
  return [
    label(middle, MARGIN.top - 22, name, { 'text-anchor': 'middle', 'font-weight': 600 }),
    ...valueAxis(frame),
    ...points.map((point, index) =>
      label(pointX(index, points.length, frame), HEIGHT - MARGIN.bottom + 18, `${point.scaling?.virtualGib ?? 0} GiB`, {
        'text-anchor': 'middle',
      }),
    ),
    label(middle, HEIGHT - 12, 'virtual size', { 'text-anchor': 'middle', fill: COLORS.muted }),
    ...curves(points, frame),
  ];
}

function valueAxis(frame: Frame): string[] {
  return Array.from({ length: TICKS + 1 }, (_, tick) => (frame.top * tick) / TICKS).flatMap((value) => {
    const y = pointY(value, frame);
    return [
      line([frame.left + MARGIN.left, y], [frame.left + PANEL_WIDTH - MARGIN.right, y], { stroke: COLORS.faint }),
      label(frame.left + MARGIN.left - 8, y + 4, String(Number(value.toPrecision(3))), { 'text-anchor': 'end' }),
    ];
  });
}

/** The name of the line that begins higher stands above it, the other below. */
function curves(points: readonly CaseResult[], frame: Frame): string[] {
  const [peer, ours] = [points.map(peerOf), points.map(oursOf)];
  const [peerStart = 0, ourStart = 0] = [peer, ours].map(([first]) => (first === undefined ? 0 : cpuOf(first)));
  const isHigher = ourStart > peerStart;
  return [
    ...curve(peer, frame, { name: 'qemu-img', color: COLORS.second, nameOffset: isHigher ? NAME_BELOW : NAME_ABOVE }),
    ...curve(ours, frame, { name: 'diskmorph', color: COLORS.first, nameOffset: isHigher ? NAME_ABOVE : NAME_BELOW }),
  ];
}

interface CurveLook {
  readonly name: string;
  readonly color: string;
  /** From the first point down to the base line of the name. */
  readonly nameOffset: number;
}

function curve(contenders: readonly ContenderResult[], frame: Frame, look: CurveLook): string[] {
  const places = contenders.map((contender, index) => ({
    x: pointX(index, contenders.length, frame),
    y: pointY(cpuOf(contender), frame),
  }));
  const [first] = places;
  if (first === undefined) return [];
  return [
    element('polyline', {
      points: places.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' '),
      fill: 'none',
      stroke: look.color,
      'stroke-width': 2,
    }),
    ...places.map(({ x, y }) => element('circle', { cx: x, cy: y, r: MARK, fill: look.color })),
    label(first.x, first.y + look.nameOffset, look.name, { fill: look.color }),
  ];
}

function pointX(index: number, count: number, frame: Frame): number {
  const width = PANEL_WIDTH - MARGIN.left - MARGIN.right;
  return frame.left + MARGIN.left + (width * (index + 0.5)) / count;
}

function pointY(value: number, frame: Frame): number {
  return HEIGHT - MARGIN.bottom - (value / frame.top) * (HEIGHT - MARGIN.bottom - MARGIN.top);
}

function cpuOf(contender: ContenderResult): number {
  return spreadOf(figuresOf(contender, 'cpuSeconds')).median;
}

/** The smallest round number that is not below `value`. */
function roundedUp(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return (ROUND_STEPS.find((step) => step * power >= value) ?? 10) * power;
}
