import type { ImageInfo } from './disk-image.ts';
import type { Finding } from './finding.ts';
import type { FormatName } from './format-name.ts';

/** An `ImageInfo` of an image with nothing special about it, changed by `more`. */
export function imageInfo(format: FormatName, virtualSize: number, more: Partial<ImageInfo>): ImageInfo {
  return { format, virtualSize, references: [], dirty: false, corrupt: false, snapshots: [], details: {}, ...more };
}

/** A table that a header points to: where it claims to lie, and the most bytes one may have. */
export interface ClaimedTable {
  readonly structure: string;
  readonly offset: number;
  readonly length: number;
  /** The named limit of the format for this table, in bytes. */
  readonly maxLength: number;
}

/** What is wrong with the table's place: `size-bomb-table` above its limit, `table-outside-file` past the end. */
export function tableFindings(fileSize: number, table: ClaimedTable): readonly Finding[] {
  const findings: Finding[] = [];
  const { structure, offset, length } = table;
  if (length > table.maxLength) {
    findings.push({
      code: 'size-bomb-table',
      severity: 'unsafe',
      offset,
      message: `The ${structure} claims ${length} bytes; at most ${table.maxLength} are accepted`,
    });
  }
  if (offset < 0 || offset + length > fileSize) {
    findings.push({
      code: 'table-outside-file',
      severity: 'unsafe',
      offset,
      message: `The ${structure} claims bytes ${offset} to ${offset + length}, but the file ends at ${fileSize}`,
    });
  }
  return findings;
}

/** `truncated` when guest data is promised up to `dataEnd` and the file ends before; nothing otherwise. */
export function truncationFindings(fileSize: number, dataEnd: number): readonly Finding[] {
  if (dataEnd <= fileSize) return [];
  return [
    {
      code: 'truncated',
      severity: 'unsafe',
      offset: fileSize,
      message: `The file ends at byte ${fileSize}, but its tables place guest data up to byte ${dataEnd}`,
    },
  ];
}

/** Text from a file made fit to be shown: control characters escaped, cut to a readable length. */
export function shownText(text: string): string {
  const cut = text.length > MAX_SHOWN_TEXT ? `${text.slice(0, MAX_SHOWN_TEXT)}...` : text;
  return JSON.stringify(cut);
}

const MAX_SHOWN_TEXT = 200;
