/** What is kept and shown of a comparison of services. */
import { pairedRatio, spreadOf } from '../statistics.ts';
import type { Measured } from './cases.ts';

/** A run. `starts` and `figures` are by the name of the service: `glance`, `diskmorph`. */
export interface ServiceResult {
  readonly version: 1;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly loadAtStart: number;
  readonly loadAtEnd: number;
  readonly machine: string;
  readonly disk: string;
  readonly starts: Readonly<Record<string, readonly Measured[]>>;
  readonly cases: readonly {
    readonly name: string;
    readonly title: string;
    readonly figures: Readonly<Record<string, readonly Measured[]>>;
  }[];
}

const HEAD = `| what | figure | Glance | diskmorph | ratio | all rounds: Glance; diskmorph |
|---|---|---|---|---|---|`;
const BEGIN = '<!-- services: written by `npm run bench:service`, not by hand -->';
const END = '<!-- end of services -->';

/** The page with the figures between its two lines. */
export function withServiceFigures(page: string, figures: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page lacks the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n${figures}\n${page.slice(end)}`;
}

/** The table, and on what it was made. Ratios are ours / Glance's, of neighbouring rounds; below 1 is ahead, but of calls a second above 1. */
export function reportText(result: ServiceResult): string {
  const starts = { title: 'start until a list is answered', figures: result.starts };
  const rows = [starts, ...result.cases].flatMap(rowsOf);
  return [
    `${result.machine}. Load at the start ${result.loadAtStart}, at the end ${result.loadAtEnd}. The disk: ${result.disk}.`,
    [HEAD, ...rows].join('\n'),
  ].join('\n\n');
}

interface Figure {
  readonly name: string;
  readonly of: (measured: Measured) => number | undefined;
}

function rowsOf({
  title,
  figures,
}: {
  readonly title: string;
  readonly figures: ServiceResult['starts'];
}): readonly string[] {
  const [theirs = [], ours = []] = [figures['glance'], figures['diskmorph']];
  const many = ours[0]?.medianMs !== undefined;
  return figuresFor(many).map(({ name, of }) => {
    const [their, our] = [theirs.map(of).filter(isThere), ours.map(of).filter(isThere)];
    const cells = [
      title,
      name,
      short(spreadOf(their).median),
      short(spreadOf(our).median),
      pairedRatio(our, their).toFixed(2),
    ];
    return `| ${[...cells, `${their.map(short).join(' ')}; ${our.map(short).join(' ')}`].join(' | ')} |`;
  });
}

function figuresFor(many: boolean): readonly Figure[] {
  const memory: Figure = { name: 'peak memory, MiB', of: ({ peakMib }) => peakMib };
  if (!many) {
    return [
      { name: 'seconds', of: ({ seconds }) => seconds },
      { name: 'CPU seconds', of: ({ cpuSeconds }) => cpuSeconds },
      memory,
    ];
  }
  return [
    { name: 'median, ms', of: ({ medianMs }) => medianMs },
    { name: 'calls a second, 8 at a time', of: ({ callsPerSecond }) => callsPerSecond },
    { name: 'CPU ms for one call', of: ({ cpuSeconds }) => cpuSeconds * 1000 },
    memory,
  ];
}

function isThere(figure: number | undefined): figure is number {
  return figure !== undefined;
}

function short(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toPrecision(3);
}
