import type { Contents, Finding, Partition, PartitionTable, Verdict } from '@diskmorph/disk-image';
import { factLines } from './fact-lines.ts';
import { packedRows } from './packed-text.ts';
import { referenceName } from './reference-name.ts';
import { findingLines } from './finding-text.ts';
import { partitionTypeName } from './partition-type.ts';
import { exactSizeText, sizeText } from './terminal/size-text.ts';
import type { Style } from './terminal/style.ts';
import type { Cell } from './terminal/text-layout.ts';
import { plainText, tableLines } from './terminal/text-layout.ts';

/** How a verdict is to look. */
export interface VerdictPage {
  readonly style: Style;
  readonly width: number;
}

/** A verdict for people: the answer first, then what the file is, what is on the disk, and every finding. */
export function verdictText(path: string, verdict: Verdict, page: VerdictPage): string {
  const lines = [headline(path, verdict, page.style), ...factLines(facts(verdict), page.style)];
  if (verdict.partitionTable !== undefined) lines.push('', ...partitionLines(verdict.partitionTable, page.style));
  if (verdict.findings.length > 0) {
    lines.push('', page.style.bold('Findings'), ...findingLines(verdict.findings, page.style, page.width));
  }
  return `${lines.join('\n')}\n`;
}

function headline(path: string, verdict: Verdict, style: Style): string {
  const counts = countText(verdict.findings);
  const tail = counts === '' ? '' : ` ${style.dim(`(${counts})`)}`;
  const name = style.bold(plainText(path));
  if (verdict.verdict === 'unsafe') return `${style.red(style.bold('UNSAFE'))}  ${name}${tail}`;
  if (verdict.verdict === 'warning') return `${style.yellow(style.bold('WARNING'))}  ${name}${tail}`;
  return `${style.green(style.bold('SAFE'))}  ${name}${tail}`;
}

function countText(findings: readonly Finding[]): string {
  const count = (severity: Finding['severity']): number => findings.filter((one) => one.severity === severity).length;
  const unsafe = count('unsafe');
  const warnings = count('warning');
  const parts = [
    unsafe > 0 ? `${unsafe} unsafe` : '',
    warnings > 0 ? `${warnings} ${plural('warning', warnings)}` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function plural(word: string, count: number): string {
  return count === 1 ? word : `${word}s`;
}

function facts(verdict: Verdict): [string, Cell][] {
  const { info } = verdict;
  const rows: [string, Cell][] = [['format', formatFact(verdict)], ...packedRows(verdict.packed)];
  const others = verdict.candidates.filter((name) => name !== verdict.format);
  if (others.length > 0) rows.push(['also looks like', others.join(', ')]);
  if (verdict.virtualSize !== undefined) rows.push(['virtual size', exactSizeText(verdict.virtualSize)]);
  rows.push(['file size', exactSizeText(verdict.fileSize)]);
  if (info?.encryption !== undefined) rows.push(['encryption', info.encryption]);
  for (const reference of info?.references ?? []) {
    rows.push([`names ${referenceName(reference.kind)}`, plainText(reference.name)]);
  }
  if (info !== undefined && info.snapshots.length > 0) {
    rows.push(['snapshots', info.snapshots.map((snapshot) => plainText(snapshot.name)).join(', ')]);
  }
  if (verdict.contents !== undefined) rows.push(['contents', contentsText(verdict.contents)]);
  return rows;
}

function formatFact({ format, subformat, declared, candidates }: Verdict): string {
  const what = subformat === undefined ? format : `${format} (${subformat})`;
  const how = candidates.includes(format) ? 'by its signature' : 'no signature of an image format';
  return declared === undefined ? `${what}, ${how}` : `${what}, ${how}; declared as ${plainText(declared)}`;
}

function contentsText(contents: Contents): string {
  if (contents.kind === 'wrapper') return `a ${contents.wrapper} container`;
  const notes = [contents.bootable ? 'bootable' : 'not bootable', ...(contents.joliet ? ['Joliet names'] : [])];
  const label = plainText(contents.volumeId.trim());
  return `ISO 9660 volume "${label}", ${sizeText(contents.volumeSize)}, ${notes.join(', ')}`;
}

const TABLE_NAMES: Readonly<Record<PartitionTable['kind'], string>> = {
  gpt: 'GUID partition table (GPT)',
  mbr: 'Master boot record (MBR)',
  hybrid: 'GUID partition table with a hybrid MBR',
  protective: 'Protective MBR without a GPT',
};

function partitionLines(table: PartitionTable, style: Style): string[] {
  const head = `${style.bold('Partitions')}  ${TABLE_NAMES[table.kind]}, ${table.sectorSize}-byte sectors`;
  return [head, ...tableOf(table.partitions, style), ...hybridLines(table, style)];
}

function hybridLines(table: PartitionTable, style: Style): string[] {
  if (table.mbrPartitions === undefined || table.mbrPartitions.length === 0) return [];
  return ['  and in the MBR:', ...tableOf(table.mbrPartitions, style)];
}

function tableOf(partitions: readonly Partition[], style: Style): string[] {
  if (partitions.length === 0) return ['  none'];
  const titles = ['  #', 'start', 'size', 'type', 'name'];
  const rows = partitions.map((partition): Cell[] => [
    { right: `  ${partition.index}` },
    { right: sizeText(partition.offset) },
    { right: sizeText(partition.length) },
    `${partitionTypeName(partition.type)}${roleText(partition)}`,
    plainText(partition.name ?? ''),
  ]);
  const [title = '', ...lines] = tableLines([
    titles.map((text, index) => (index < 3 ? { right: text } : text)),
    ...rows,
  ]);
  return [style.dim(title), ...lines];
}

function roleText(partition: Partition): string {
  const role = partition.role === 'primary' ? '' : `, ${partition.role}`;
  return `${role}${partition.bootable ? ', bootable' : ''}`;
}
