import type { ConversionPlan, Finding, TargetPlan } from '@diskmorph/disk-image';
import type {
  ConversionReport,
  FileConversionPlan,
  FilesConversionReport,
  WrittenFile,
} from '@diskmorph/disk-image-node';
import { factLines } from './fact-lines.ts';
import type { SourceImage } from './source-image.ts';
import { formatText, givenPath } from './source-image.ts';
import { durationText, exactSizeText, sizeText } from './terminal/size-text.ts';
import type { Style } from './terminal/style.ts';
import { plainText } from './terminal/text-layout.ts';

/** What a conversion did, for people. */
export function reportText(report: ConversionReport, source: SourceImage, style: Style): string {
  const { plan } = report;
  const from = `${style.bold(plainText(givenPath(source)))} (${formatText(source, plan.source.subformat)})`;
  const head = `${from} -> ${style.bold(plainText(report.files.at(-1)?.path ?? ''))} (${targetFormatText(plan)})`;
  const rows: [string, string][] = [
    ['virtual size', exactSizeText(report.virtualSize)],
    ['data', `${sizeText(report.dataBytes)} that are not zeros`],
    ['written', allocationText(report.files)],
    ...commonRows(report, style),
  ];
  return `${[head, ...factLines(rows, style), ...checksumLines(report.files)].join('\n')}\n`;
}

/** Each checksum as `sha256sum` and its like print it. */
function checksumLines(files: readonly WrittenFile[]): string[] {
  return files.flatMap((file) =>
    Object.values(file.checksums ?? {}).map((digest) => `${digest}  ${plainText(file.path)}`),
  );
}

/** What several outputs of one read came to, for people: each file with its checksums as `sha256sum` prints them. */
export function severalText(report: FilesConversionReport, source: SourceImage, style: Style): string {
  const { plan, targets } = report;
  const from = `${style.bold(plainText(givenPath(source)))} (${formatText(source, plan.source.subformat)})`;
  const rows: [string, string][] = [
    ['virtual size', exactSizeText(report.virtualSize)],
    ['data', `${sizeText(report.dataBytes)} that are not zeros`],
    ...commonRows(report, style),
  ];
  const lines = targets.flatMap(({ files }, index) => {
    const target = plan.targets[index];
    return [
      `  ${style.bold(plainText(files.at(-1)?.path ?? ''))} (${target === undefined ? '' : targetFormatText(target)}), ${allocationText(files)}`,
      ...checksumLines(files).map((line) => `    ${line}`),
    ];
  });
  const head = `${from} -> ${targets.length} ${targets.length === 1 ? 'image' : 'images'} from one read`;
  return `${[head, ...factLines(rows, style), ...lines].join('\n')}\n`;
}

function commonRows(
  report: Omit<ConversionReport, 'plan' | 'files' | 'targetSizeBytes'> & { readonly plan: ConversionPlan },
  style: Style,
): [string, string][] {
  const rows: [string, string][] = report.contentId === undefined ? [] : [['content id', report.contentId]];
  rows.push([
    'verified',
    report.verified ? style.green('yes, read back with the same content id') : style.yellow('no'),
  ]);
  if (report.resumedFromBytes > 0) rows.push(['resumed', `${sizeText(report.resumedFromBytes)} were already done`]);
  rows.push(['time', timeText(report)]);
  return rows;
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

function targetFormatText({ layout, options }: TargetPlan): string {
  const given = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  return [layout.format, ...given].join(', ');
}

function allocationText(files: readonly WrittenFile[]): string {
  const size = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const allocated = files.reduce((sum, file) => sum + file.allocatedBytes, 0);
  const count = files.length > 1 ? ` in ${files.length} files` : '';
  const onDisk = allocated < size ? `, ${sizeText(allocated)} of it on disk` : '';
  return `${exactSizeText(size)}${count}${onDisk}`;
}

function timeText(report: {
  readonly plan: ConversionPlan;
  readonly durationMs: number;
  readonly resumedFromBytes: number;
}): string {
  const seconds = report.durationMs / 1000;
  const copied = report.plan.bytesToRead - report.resumedFromBytes;
  const rate = seconds > 0.05 && copied > 0 ? `, ${sizeText(copied / seconds)}/s` : '';
  return `${durationText(seconds)}${rate}`;
}
