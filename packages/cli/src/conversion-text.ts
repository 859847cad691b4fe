import type { Finding } from '@diskmorph/disk-image';
import type { ConversionReport, FileConversionPlan } from '@diskmorph/disk-image-node';
import { factLines } from './fact-lines.ts';
import type { SourceImage } from './source-image.ts';
import { formatText } from './source-image.ts';
import { durationText, exactSizeText, sizeText } from './terminal/size-text.ts';
import type { Style } from './terminal/style.ts';
import { plainText } from './terminal/text-layout.ts';

/** What a conversion did, for people. */
export function reportText(report: ConversionReport, source: SourceImage, style: Style): string {
  const { plan } = report;
  const from = `${style.bold(plainText(source.file.path))} (${formatText(source, plan.source.subformat)})`;
  const head = `${from} -> ${style.bold(plainText(report.files.at(-1)?.path ?? ''))} (${targetFormatText(plan)})`;
  const rows: [string, string][] = [
    ['virtual size', exactSizeText(report.virtualSize)],
    ['data', `${sizeText(report.dataBytes)} that are not zeros`],
    ['written', writtenText(report)],
  ];
  if (report.contentId !== undefined) rows.push(['content id', report.contentId]);
  rows.push([
    'verified',
    report.verified ? style.green('yes, read back with the same content id') : style.yellow('no'),
  ]);
  if (report.resumedFromBytes > 0) rows.push(['resumed', `${sizeText(report.resumedFromBytes)} were already done`]);
  rows.push(['time', timeText(report)]);
  return `${[head, ...factLines(rows, style)].join('\n')}\n`;
}

/** What a conversion would do, for people. */
export function planText(plan: FileConversionPlan, targetPath: string, style: Style): string {
  const { source, layout } = plan;
  const rows: [string, string][] = [
    ['source', source.subformat === undefined ? source.format : `${source.format} (${source.subformat})`],
    ['target', targetFormatText(plan)],
    ['virtual size', exactSizeText(source.virtualSize)],
    [
      'to read',
      `${sizeText(plan.bytesToRead)} in ${plan.dataChunks} of ${plan.chunkCount} chunks of ${sizeText(plan.chunkSize)}`,
    ],
    ['unit', sizeText(layout.unitSize)],
  ];
  if (source.compressedBytes > 0) rows.push(['compressed', `${sizeText(source.compressedBytes)} of the source's data`]);
  if (layout.virtualSize !== source.virtualSize) rows.push(['padded to', exactSizeText(layout.virtualSize)]);
  rows.push(['files', layout.files.map((file) => (file.name === '' ? plan.fileName : file.name)).join(', ')]);
  const head = `${style.bold('Plan')} for ${targetPath}; nothing is written`;
  return `${[head, ...factLines(rows, style)].join('\n')}\n`;
}

/** A finding that does not stop the work, in one line; nothing for those that only inform. */
export function warningText(finding: Finding, style: Style): string {
  if (finding.severity === 'info') return '';
  const allowed = finding.severity === 'unsafe' ? ', allowed' : '';
  return `${style.yellow('warning:')} ${plainText(finding.message)} ${style.dim(`[${finding.code}${allowed}]`)}\n`;
}

function targetFormatText({ layout, options }: FileConversionPlan): string {
  const given = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  return [layout.format, ...given].join(', ');
}

function writtenText(report: ConversionReport): string {
  const allocated = report.files.reduce((sum, file) => sum + file.allocatedBytes, 0);
  const count = report.files.length > 1 ? ` in ${report.files.length} files` : '';
  const onDisk = allocated < report.targetSizeBytes ? `, ${sizeText(allocated)} of it on disk` : '';
  return `${exactSizeText(report.targetSizeBytes)}${count}${onDisk}`;
}

function timeText(report: ConversionReport): string {
  const seconds = report.durationMs / 1000;
  const copied = report.plan.bytesToRead - report.resumedFromBytes;
  const rate = seconds > 0.05 && copied > 0 ? `, ${sizeText(copied / seconds)}/s` : '';
  return `${durationText(seconds)}${rate}`;
}
