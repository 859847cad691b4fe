import type { TargetFinding, TargetProfile, TargetVerdict } from '@diskmorph/disk-image';
import type { Style } from './terminal/style.ts';
import { plainText, wrapText } from './terminal/text-layout.ts';

/** How a lint is to look. */
export interface LintPage {
  readonly style: Style;
  readonly width: number;
}

const INDENT = ' '.repeat(11);

/** What a target will say, for people: the answer first, then every rule that is broken, then what was not looked at. */
export function lintText(path: string, profile: TargetProfile, lint: TargetVerdict, page: LintPage): string {
  const lines = [headline(path, profile, lint, page.style), ...targetFindingLines(lint.findings, page)];
  if (lint.unchecked.length > 0) {
    lines.push('', page.style.dim('Not looked at'), ...lint.unchecked.map((clause) => `  ${clause}`));
  }
  return `${lines.join('\n')}\n`;
}

/** Broken rules: severity and rule, how, what the target wants, what to do, where that is written. */
export function targetFindingLines(findings: readonly TargetFinding[], { style, width }: LintPage): string[] {
  const room = Math.max(30, width - INDENT.length - 1);
  const indented = (text: string): string[] => wrapText(text, room).map((line) => `${INDENT}${line}`);
  return findings.flatMap((finding) => [
    `${severityText(finding, style)}${style.bold(finding.rule)}`,
    ...indented(plainText(finding.message)),
    ...indented(finding.sentence),
    ...indented(finding.mend),
    ...finding.sources.map((source) => `${INDENT}${style.dim(source)}`),
  ]);
}

function headline(path: string, profile: TargetProfile, { verdict }: TargetVerdict, style: Style): string {
  const name = style.bold(plainText(path));
  if (verdict === 'refused') return `${style.red(style.bold('REFUSED'))}  ${name} by ${profile.title}`;
  if (verdict === 'warning') return `${style.yellow(style.bold('WARNING'))}  ${name} for ${profile.title}`;
  return `${style.green(style.bold('ACCEPTED'))}  ${name}: nothing found that ${profile.title} would refuse`;
}

function severityText({ severity }: TargetFinding, style: Style): string {
  const text = severity.padEnd(INDENT.length - 2);
  return `  ${severity === 'refusal' ? style.red(text) : style.yellow(text)}`;
}
