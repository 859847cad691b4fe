import type { Details, JsonValue } from '@diskmorph/disk-image';
import type { FileInfo } from './commands/info.ts';
import { factLines } from './fact-lines.ts';
import { packedRows } from './packed-text.ts';
import { referenceName } from './reference-name.ts';
import { exactSizeText, sizeText } from './terminal/size-text.ts';
import type { Style } from './terminal/style.ts';
import type { Cell } from './terminal/text-layout.ts';
import { plainText, tableLines } from './terminal/text-layout.ts';

/** What the metadata of an image says, for people. */
export function infoText(info: FileInfo, style: Style): string {
  const lines = [style.bold(plainText(info.file)), ...factLines(facts(info), style)];
  const details = detailRows(info.details);
  if (details.length > 0) lines.push('', style.bold(`In the words of ${info.format}`), ...factLines(details, style));
  if (info.snapshots.length > 0) lines.push('', style.bold('Snapshots'), ...snapshotLines(info, style));
  const grave = info.findings.filter((finding) => finding.severity !== 'info').length;
  if (grave > 0) {
    const what = grave === 1 ? '1 finding' : `${grave} findings`;
    lines.push('', style.yellow(`${what} to look at: diskmorph inspect ${plainText(info.file)}`));
  }
  return `${lines.join('\n')}\n`;
}

function facts(info: FileInfo): [string, Cell][] {
  const format = info.subformat === undefined ? info.format : `${info.format} (${info.subformat})`;
  const rows: [string, Cell][] = [
    ['format', info.detected ? `${format}, detected` : format],
    ...packedRows(info.packed),
    ['virtual size', exactSizeText(info.virtualSize)],
    ['file size', exactSizeText(info.fileSize)],
  ];
  if (info.allocatedSize !== undefined && info.allocatedSize < info.fileSize)
    rows.push(['on disk', sizeText(info.allocatedSize)]);
  if (info.unitSize !== undefined) rows.push(['unit', sizeText(info.unitSize)]);
  if (info.encryption !== undefined) rows.push(['encryption', info.encryption]);
  for (const reference of info.references) {
    const format = reference.format === undefined ? '' : ` (${plainText(reference.format)})`;
    rows.push([referenceName(reference.kind), `${plainText(reference.name)}${format}`]);
  }
  const marks = [...(info.dirty ? ['dirty'] : []), ...(info.corrupt ? ['corrupt'] : [])];
  if (marks.length > 0) rows.push(['marked', marks.join(', ')]);
  return rows;
}

/** Details of objects and lists are set on one line each, as JSON: they are for the few who know the format. */
function detailRows(details: Details): [string, Cell][] {
  return Object.entries(details)
    .filter(([, value]) => !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => [plainText(name), plainText(detailText(value))]);
}

function detailText(value: JsonValue): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function snapshotLines(info: FileInfo, style: Style): string[] {
  const rows = info.snapshots.map((snapshot): Cell[] => [
    `  ${plainText(snapshot.id)}`,
    plainText(snapshot.name),
    new Date(snapshot.dateSeconds * 1000).toISOString().replace('.000Z', 'Z'),
    { right: snapshot.vmStateSize === 0 ? 'disk only' : `${sizeText(snapshot.vmStateSize)} of machine state` },
  ]);
  const [title = '', ...lines] = tableLines([['  id', 'name', 'taken', ''], ...rows]);
  return [style.dim(title), ...lines];
}
