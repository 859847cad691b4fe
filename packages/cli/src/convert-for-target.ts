import type { GivenOptions, TargetFinding, TargetProfile, TargetVerdict } from '@diskmorph/disk-image';
import { lintDisk } from '@diskmorph/disk-image';
import type { ConversionReport, FileConversion } from '@diskmorph/disk-image-node';
import { convertFile, convertPacked, lintFile } from '@diskmorph/disk-image-node';
import { reportText } from './conversion-text.ts';
import type { ConversionWork } from './convert-to-one.ts';
import { reportJson, showPlan } from './convert-to-one.ts';
import { EXIT, EXIT_BY_ERROR_CODE } from './exit-code.ts';
import { ToldError } from './failure.ts';
import { targetFindingLines } from './lint-text.ts';
import { nextCommands } from './target-profile.ts';
import { withProgress } from './work-options.ts';

/** A conversion for a target. */
export interface TargetWork extends ConversionWork {
  readonly profile: TargetProfile;
  /** The profile's options that the command line replaced: its own values. */
  readonly replaced: GivenOptions;
}

/**
 * Converts into what the target takes, and holds the result against its rules. What no conversion can mend stops it
 * before anything is written. Gives the exit code: `bad` when the target refuses what was written.
 */
export async function convertForTarget(conversion: FileConversion, work: TargetWork): Promise<number> {
  const { given, context, profile } = work;
  refuseHopeless(work);
  if (given.has('plan')) return showPlan(conversion, work);
  const run = profile.output.packing === undefined ? convertFile : convertPacked;
  const report = await withProgress(given, context, (how) => run({ ...conversion, ...how }));
  const { lint } = await lintFile(conversion.target.path, profile, { signal: context.signal });
  const accepted = { ...lint, findings: lint.findings.filter(({ rule }) => !given.all('allow').includes(rule)) };
  if (given.has('json')) await context.terminal.json(targetJson(report, work, lint));
  else if (!given.has('quiet')) await context.terminal.out(targetText(report, work, accepted));
  return accepted.findings.some(({ severity }) => severity === 'refusal') ? EXIT.bad : EXIT.ok;
}

function refuseHopeless({ given, context, profile, verdict }: TargetWork): void {
  const isAllowed = ({ rule }: TargetFinding): boolean => given.all('allow').includes(rule);
  const findings = lintDisk(profile, verdict).filter((finding) => !isAllowed(finding));
  const refusals = findings.filter(({ severity }) => severity === 'refusal');
  if (refusals.length === 0) return;
  const page = { style: context.terminal.noteStyle, width: context.terminal.width() };
  if (!given.has('json')) for (const line of targetFindingLines(refusals, page)) context.terminal.note(`${line}\n`);
  const rules = refusals.map(({ rule }) => rule);
  throw new ToldError({
    code: 'unsupported',
    message: `${profile.title} would refuse the disk, however it is stored: ${rules.join(', ')}`,
    details: refusals.map(({ message, sentence }) => `${message} ${sentence}`),
    advice: `${refusals.map(({ mend }) => mend).join(' ')} ${rules.map((rule) => `--allow ${rule}`).join(' ')} writes it all the same`,
    exitCode: EXIT_BY_ERROR_CODE.unsupported,
  });
}

function targetJson(report: ConversionReport, work: TargetWork, lint: TargetVerdict): object {
  const { profile, replaced } = work;
  const [file] = report.files.slice(-1);
  return {
    ...reportJson(report, work),
    target: profile.name,
    replaced,
    lint,
    next: nextCommands(profile, file?.path ?? ''),
  };
}

function targetText(report: ConversionReport, work: TargetWork, lint: TargetVerdict): string {
  const { profile, replaced, source, context } = work;
  const { outStyle: style } = context.terminal;
  const lines = [`${style.bold('For')} ${profile.title}: ${outcomeText(lint)}`];
  for (const [key, value] of Object.entries(replaced)) {
    lines.push(`  ${style.yellow('replaced')} ${key}=${value} of the profile, as the command line says`);
  }
  lines.push(...targetFindingLines(lint.findings, { style, width: context.terminal.width() }));
  const path = report.files.at(-1)?.path ?? '';
  lines.push(style.dim('Then:'), ...nextCommands(profile, path).map((command) => `  ${command}`));
  return `${reportText(report, source, style)}${lines.join('\n')}\n`;
}

function outcomeText({ findings, unchecked }: TargetVerdict): string {
  if (findings.some(({ severity }) => severity === 'refusal')) return 'it would refuse what was written';
  if (findings.length > 0) return 'written, with something to look at';
  return unchecked.length === 0
    ? 'nothing found that it would refuse'
    : 'nothing found that it would refuse; "diskmorph lint" says what was not looked at';
}
