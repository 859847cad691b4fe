import type { CheckReport } from '@diskmorph/disk-image';
import { cancellableSource } from '@diskmorph/disk-image';
import { openPlace, placeOf, requireFormat } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { FORMAT_OPTION, JSON_OPTION, requireOperand } from '../arguments/shared-options.ts';
import { factLines } from '../fact-lines.ts';
import { EXIT, EXIT_BY_ERROR_CODE } from '../exit-code.ts';
import { ToldError } from '../failure.ts';
import { findingLines } from '../finding-text.ts';
import type { SourceImage } from '../source-image.ts';
import { formatText, givenPath, sourceFacts } from '../source-image.ts';
import { exactSizeText } from '../terminal/size-text.ts';
import type { Style } from '../terminal/style.ts';
import { UNPACKING_OPTIONS, withImage } from '../unpacked-source.ts';

/** `diskmorph check`. */
export const checkCommand: Command = {
  name: 'check',
  summary: 'Check all tables of an image: is everything that they point to there, and used once? Repairs nothing.',
  operands: ['FILE'],
  options: [
    FORMAT_OPTION,
    ...UNPACKING_OPTIONS,
    { long: 'quiet', short: 'q', summary: 'Print nothing; the exit code is the answer' },
    JSON_OPTION,
  ],
  exitCodes: [
    [EXIT.ok, 'clean'],
    [EXIT.bad, 'corrupt: the image cannot be trusted'],
    [EXIT.imperfect, 'leaks: space is held but not used, which is harmless'],
  ],
  examples: [{ says: 'all tables', line: 'diskmorph check disk.qcow2' }],
  run: runCheck,
};

function runCheck(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  return withImage({ path: requireOperand(given, 0) }, { given, context }, async (image) => {
    const report = await checkFile(image, signal);
    if (given.has('json')) await terminal.json({ ...sourceFacts(image), ...report });
    else if (!given.has('quiet')) {
      await terminal.out(checkText(image, report, { style: terminal.outStyle, width: terminal.width() }));
    }
    if (report.corruptions > 0) return EXIT.bad;
    return report.leaks > 0 ? EXIT.imperfect : EXIT.ok;
  });
}

async function checkFile({ file }: SourceImage, signal: AbortSignal): Promise<CheckReport> {
  const format = requireFormat(file.format);
  if (format.check === undefined) throw nothingToCheck(format.name);
  const source = await openPlace(placeOf(file));
  try {
    return await format.check(cancellableSource(source, signal));
  } finally {
    await source.close();
  }
}

function nothingToCheck(format: string): ToldError {
  return new ToldError({
    code: 'unsupported',
    message: `${format} images have no tables that can be checked`,
    advice: '"diskmorph inspect FILE" says what can be said about the file',
    exitCode: EXIT_BY_ERROR_CODE.unsupported,
  });
}

function checkText(image: SourceImage, report: CheckReport, page: { style: Style; width: number }): string {
  const { style } = page;
  const lines = [`${answer(report, style)}  ${style.bold(givenPath(image))} (${formatText(image)})`];
  lines.push(...factLines(facts(report), style));
  if (report.findings.length > 0) {
    lines.push('', style.bold('Findings'), ...findingLines(report.findings, style, page.width));
  }
  return `${lines.join('\n')}\n`;
}

function answer({ corruptions, leaks }: CheckReport, style: Style): string {
  if (corruptions > 0) return style.red(style.bold('CORRUPT'));
  return leaks > 0 ? style.yellow(style.bold('LEAKS')) : style.green(style.bold('CLEAN'));
}

function facts(report: CheckReport): [string, string][] {
  const rows: [string, string][] = [
    ['corruptions', String(report.corruptions)],
    ['leaks', String(report.leaks)],
  ];
  if (report.allocatedUnits !== undefined && report.totalUnits !== undefined) {
    const percent = report.totalUnits === 0 ? 0 : (100 * report.allocatedUnits) / report.totalUnits;
    rows.push(['allocated', `${report.allocatedUnits} of ${report.totalUnits} units (${percent.toFixed(1)}%)`]);
  }
  if (report.compressedUnits !== undefined) rows.push(['compressed', `${report.compressedUnits} units`]);
  if (report.fragmentedUnits !== undefined) rows.push(['fragmented', `${report.fragmentedUnits} units`]);
  if (report.imageEndOffset !== undefined) rows.push(['last byte in use', exactSizeText(report.imageEndOffset)]);
  return rows;
}
