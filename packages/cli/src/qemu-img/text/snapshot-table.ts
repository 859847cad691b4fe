import type { SnapshotInfo } from '@diskmorph/disk-image';
import { sizeText } from './size-text.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/** The list of snapshots as `info` and `snapshot -l` show it; empty when there are none. Dates are local time. */
export function snapshotTable(snapshots: readonly SnapshotInfo[]): string {
  if (snapshots.length === 0) return '';
  const rows = snapshots.map((snapshot) =>
    row([
      snapshot.id,
      snapshot.name,
      sizeText(snapshot.vmStateSize),
      dateText(snapshot.dateSeconds),
      clockText(snapshot.vmClockNanoseconds),
      snapshot.icount === undefined ? '' : String(snapshot.icount),
    ]),
  );
  return `Snapshot list:\n${row(['ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT'])}${rows.join('')}`;
}

type Cells = readonly [id: string, tag: string, size: string, date: string, clock: string, icount: string];

function row([id, tag, size, date, clock, icount]: Cells): string {
  return `${id.padEnd(9)} ${tag.padEnd(16)} ${size.padStart(8)}${date.padStart(20)}${clock.padStart(13)}${icount.padStart(11)}\n`;
}

function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':')}`;
}

function clockText(nanoseconds: number): string {
  const ms = Math.floor(nanoseconds / NANOSECONDS_PER_MS);
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${parts.map(twoDigits).join(':')}.${String(ms % 1000).padStart(3, '0')}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
