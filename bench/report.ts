/** Figures as a Markdown table. */
import type { CaseResult, ContenderResult } from './contest.ts';
import type { Cost } from './measure.ts';
import { spreadOf } from './measure.ts';

/** The head of the table. */
export const TABLE_HEAD: string = [
  '| case | program | wall s: min / median / max | wall ratio | CPU s: min / median / max | CPU ratio | peak MiB | output MiB |',
  '|---|---|---|---|---|---|---|---|',
].join('\n');

/** The rows of one case. Ratios are medians against those of the first contender: below 1 is faster than it. */
export function tableRows(result: CaseResult): string {
  const reference = result.results[0];
  return result.results.map((contender) => row(result.name, contender, reference)).join('\n');
}

function row(name: string, result: ContenderResult, reference: ContenderResult | undefined): string {
  const cells = [
    name,
    result.contender,
    spreadText(result, 'wallSeconds'),
    ratio(result, reference, 'wallSeconds'),
    spreadText(result, 'cpuSeconds'),
    ratio(result, reference, 'cpuSeconds'),
    figures(result, 'peakMebibytes').max.toFixed(0),
    (result.outputBytes / 2 ** 20).toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}

function figures(result: ContenderResult, key: keyof Cost): ReturnType<typeof spreadOf> {
  return spreadOf(result.costs.map((cost) => cost[key]));
}

function spreadText(result: ContenderResult, key: keyof Cost): string {
  const { min, median, max } = figures(result, key);
  return [min, median, max].map((figure) => figure.toFixed(2)).join(' / ');
}

function ratio(result: ContenderResult, reference: ContenderResult | undefined, key: keyof Cost): string {
  if (reference === undefined || reference === result) return '1';
  return (figures(result, key).median / figures(reference, key).median).toFixed(2);
}
