import type { Finding, Severity } from '@diskmorph/disk-image';
import { findingAdvice } from './finding-advice.ts';
import type { Style } from './terminal/style.ts';
import { plainText, wrapText } from './terminal/text-layout.ts';

const INDENT = ' '.repeat(11);

/** Findings for people: severity, code and place, one sentence, what to do. */
export function findingLines(findings: readonly Finding[], style: Style, width: number): string[] {
  return findings.flatMap((finding) => {
    const place = finding.offset === undefined ? '' : `  at byte ${finding.offset} (0x${finding.offset.toString(16)})`;
    const room = Math.max(30, width - INDENT.length - 1);
    const advice = findingAdvice(finding);
    return [
      `${severityText(finding.severity, style)}${style.bold(finding.code)}${style.dim(place)}`,
      ...wrapText(plainText(finding.message), room).map((line) => `${INDENT}${line}`),
      ...(advice === undefined ? [] : wrapText(advice, room).map((line) => `${INDENT}${style.dim(line)}`)),
    ];
  });
}

function severityText(severity: Severity, style: Style): string {
  const text = severity.padEnd(INDENT.length - 2);
  if (severity === 'unsafe') return `  ${style.red(text)}`;
  return `  ${severity === 'warning' ? style.yellow(text) : style.dim(text)}`;
}
