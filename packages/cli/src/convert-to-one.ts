import type { Verdict } from '@diskmorph/disk-image';
import type { ConversionReport, FileConversion } from '@diskmorph/disk-image-node';
import { convertFile, planFileConversion } from '@diskmorph/disk-image-node';
import type { CommandContext } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { planText, reportText } from './conversion-text.ts';
import { EXIT } from './exit-code.ts';
import type { SourceImage } from './source-image.ts';
import { givenPath } from './source-image.ts';
import { withProgress } from './work-options.ts';

/** A conversion on the command line, when its source has passed the inspection. */
export interface ConversionWork {
  readonly source: SourceImage;
  readonly verdict: Verdict;
  readonly given: GivenArguments;
  readonly context: CommandContext;
}

/** Converts into one image, or shows the plan. Gives the exit code. */
export async function convertToOne(conversion: FileConversion, work: ConversionWork): Promise<number> {
  const { given, context } = work;
  if (given.has('plan')) return showPlan(conversion, work);
  const report = await withProgress(given, context, (how) => convertFile({ ...conversion, ...how }));
  if (given.has('json')) await context.terminal.json(reportJson(report, work));
  else if (!given.has('quiet')) await context.terminal.out(reportText(report, work.source, context.terminal.outStyle));
  return EXIT.ok;
}

/** Shows what would be done. */
export async function showPlan(conversion: FileConversion, { given, context }: ConversionWork): Promise<number> {
  const plan = await planFileConversion(conversion);
  if (given.has('json')) await context.terminal.json(plan);
  else await context.terminal.out(planText(plan, conversion.target.path, context.terminal.outStyle));
  return EXIT.ok;
}

/** The report with what it was made of, for `--json`. */
export function reportJson<T extends Omit<ConversionReport, 'plan' | 'files' | 'targetSizeBytes'>>(
  report: T,
  { source, verdict }: ConversionWork,
): object {
  const packed = source.packed === undefined ? {} : { packed: source.packed };
  const described = { path: givenPath(source), format: source.file.format, detected: source.detected, ...packed };
  return { source: described, findings: verdict.findings, ...report };
}
