import type { TargetVerdict } from '@diskmorph/disk-image';
import type { FilesConversionReport, FinishedConversion } from '@diskmorph/disk-image-node';
import { convertFinished, planFilesConversion } from '@diskmorph/disk-image-node';
import { planText, severalText } from './conversion-text.ts';
import type { WrittenForTarget } from './convert-for-target.ts';
import { isRefused, lintWritten, refuseHopeless, targetLines } from './convert-for-target.ts';
import type { ConversionWork } from './convert-to-one.ts';
import { reportJson } from './convert-to-one.ts';
import { EXIT } from './exit-code.ts';
import type { SeveralOutput } from './several-outputs.ts';
import { nextCommands } from './target-profile.ts';
import { withProgress } from './work-options.ts';

/** What is to be made of one source. */
export type SeveralConversion = Omit<FinishedConversion, 'targets'> & { readonly outputs: readonly SeveralOutput[] };

/**
 * Converts into several images from one read, or shows the plans; what is for a target is held against its rules. Gives
 * the exit code: `bad` when a target refuses what was written for it.
 */
export async function convertToSeveral(
  { outputs, ...choices }: SeveralConversion,
  work: ConversionWork,
): Promise<number> {
  const { given, context } = work;
  for (const { profile } of outputs) if (profile !== undefined) refuseHopeless(profile, work);
  const conversion: FinishedConversion = { ...choices, targets: outputs.map(({ target }) => target) };
  if (given.has('plan')) return showPlans(conversion, work);
  const report = await withProgress(given, context, (how) => convertFinished({ ...conversion, ...how }));
  const judged = await judgedOutputs(outputs, work);
  if (given.has('json')) await context.terminal.json(severalJson(report, judged, work));
  else if (!given.has('quiet')) {
    const lines = judged.flatMap((output) => (output === undefined ? [] : targetLines(output, output.lint, work)));
    const text = severalText(report, work.source, context.terminal.outStyle);
    await context.terminal.out([text.trimEnd(), ...lines, ''].join('\n'));
  }
  return judged.some((output) => output !== undefined && isRefused(output.lint, given)) ? EXIT.bad : EXIT.ok;
}

interface JudgedOutput extends WrittenForTarget {
  readonly lint: TargetVerdict;
}

/** For each output what its target will say, when it is for one. */
async function judgedOutputs(
  outputs: readonly SeveralOutput[],
  work: ConversionWork,
): Promise<(JudgedOutput | undefined)[]> {
  const judged: (JudgedOutput | undefined)[] = [];
  for (const { target, profile } of outputs) {
    const written = profile === undefined ? undefined : { profile, path: target.path, replaced: {} };
    judged.push(written === undefined ? undefined : { ...written, lint: await lintWritten(written, work) });
  }
  return judged;
}

function severalJson(
  report: FilesConversionReport,
  judged: readonly (JudgedOutput | undefined)[],
  work: ConversionWork,
): object {
  const targets = report.targets.map(({ files }, index) => {
    const output = judged[index];
    if (output === undefined) return { files };
    const { profile, lint, path } = output;
    return { files, target: profile.name, lint, next: nextCommands(profile, path) };
  });
  return reportJson({ ...report, targets }, work);
}

async function showPlans(conversion: FinishedConversion, { given, context }: ConversionWork): Promise<number> {
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
