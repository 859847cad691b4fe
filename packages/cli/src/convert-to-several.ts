import type { FilesConversion } from '@diskmorph/disk-image-node';
import { convertFiles, planFilesConversion } from '@diskmorph/disk-image-node';
import { planText, severalText } from './conversion-text.ts';
import type { ConversionWork } from './convert-to-one.ts';
import { reportJson } from './convert-to-one.ts';
import { EXIT } from './exit-code.ts';
import { withProgress } from './work-options.ts';

/** Converts into several images from one read, or shows the plans. Gives the exit code. */
export async function convertToSeveral(conversion: FilesConversion, work: ConversionWork): Promise<number> {
  const { given, context } = work;
  if (given.has('plan')) return showPlans(conversion, work);
  const report = await withProgress(given, context, (how) => convertFiles({ ...conversion, ...how }));
  if (given.has('json')) await context.terminal.json(reportJson(report, work));
  else if (!given.has('quiet')) await context.terminal.out(severalText(report, work.source, context.terminal.outStyle));
  return EXIT.ok;
}

async function showPlans(conversion: FilesConversion, { given, context }: ConversionWork): Promise<number> {
  const plan = await planFilesConversion(conversion);
  if (given.has('json')) {
    await context.terminal.json(plan);
    return EXIT.ok;
  }
  for (const [index, target] of plan.targets.entries()) {
    const path = conversion.targets[index]?.path ?? target.fileName;
    await context.terminal.out(planText({ ...plan, ...target }, path, context.terminal.outStyle));
  }
  return EXIT.ok;
}
