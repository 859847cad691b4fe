import type { GivenOptions, TargetFinding, TargetProfile, TargetVerdict } from '@diskmorph/disk-image';
import { lintDisk } from '@diskmorph/disk-image';
import type { ConversionReport, FileConversion, FinishedTarget } from '@diskmorph/disk-image-node';
import { convertOneFinished, lintFile } from '@diskmorph/disk-image-node';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { reportText } from './conversion-text.ts';
import type { ConversionWork } from './convert-to-one.ts';
import { reportJson, showPlan } from './convert-to-one.ts';
import { EXIT, EXIT_BY_ERROR_CODE } from './exit-code.ts';
import { ToldError } from './failure.ts';
import { targetFindingLines } from './lint-text.ts';
import { nextCommands } from './target-profile.ts';
import type { Style } from './terminal/style.ts';
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
export async function convertForTarget(
  conversion: Omit<FileConversion, 'target' | 'adjust'> & { readonly target: FinishedTarget },
  work: TargetWork,
): Promise<number> {
  const { given, context, profile, replaced } = work;
  refuseHopeless(profile, work);
  if (given.has('plan')) return showPlan(conversion, work);
  const report = await withProgress(given, context, (how) => convertOneFinished({ ...conversion, ...how }));
  const written = { profile, replaced, path: conversion.target.path };
  const lint = await lintWritten(written, work);
  if (given.has('json')) await context.terminal.json(targetJson(report, work, lint));
  else if (!given.has('quiet')) {
    const text = reportText(report, work.source, context.terminal.outStyle);
    await context.terminal.out(`${text}${targetLines(written, lint, work).join('\n')}\n`);
  }
  return isRefused(lint, given) ? EXIT.bad : EXIT.ok;
}

/** An image that was written for a target. */
export interface WrittenForTarget {
  readonly profile: TargetProfile;
  readonly replaced: GivenOptions;
  readonly path: string;
}

/** What the target will say to the file. */
export async function lintWritten({ path, profile }: WrittenForTarget, work: ConversionWork): Promise<TargetVerdict> {
  return (await lintFile(path, profile, { signal: work.context.signal })).lint;
}

/** True when the target refuses it for a reason that nobody allowed. */
export function isRefused(lint: TargetVerdict, given: GivenArguments): boolean {
  return accepted(lint, given).findings.some(({ severity }) => severity === 'refusal');
}

function accepted(lint: TargetVerdict, given: GivenArguments): TargetVerdict {
  return { ...lint, findings: lint.findings.filter(({ rule }) => !given.all('allow').includes(rule)) };
}

/** Throws when the target would refuse the disk however it is stored, and nobody allowed it. */
export function refuseHopeless(profile: TargetProfile, { given, context, verdict }: ConversionWork): void {
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

/** What the target will say to what was written, for people, and how it is brought there. */
export function targetLines(
  { profile, replaced, path }: WrittenForTarget,
  lint: TargetVerdict,
  { given, context }: ConversionWork,
): string[] {
  const style: Style = context.terminal.outStyle;
  const { findings, ...rest } = accepted(lint, given);
  const page = { style, width: context.terminal.width() };
  return [
    `${style.bold('For')} ${profile.title}: ${outcomeText({ ...rest, findings })}`,
    ...Object.entries(replaced).map(
      ([key, value]) => `  ${style.yellow('replaced')} ${key}=${value} of the profile, as the command line says`,
    ),
    ...targetFindingLines(findings, page),
    style.dim('Then:'),
    ...nextCommands(profile, path).map((command) => `  ${command}`),
  ];
}

function outcomeText({ findings, unchecked }: TargetVerdict): string {
  if (findings.some(({ severity }) => severity === 'refusal')) return 'it would refuse what was written';
  if (findings.length > 0) return 'written, with something to look at';
  return unchecked.length === 0
    ? 'nothing found that it would refuse'
    : 'nothing found that it would refuse; "diskmorph lint" says what was not looked at';
}
