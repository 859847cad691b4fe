import type { Log, LogEntry } from './log-entry.ts';
import { LOG_SECTOR, parseLogEntry } from './log-entry.ts';

/**
 * The entries to be replayed, oldest first: of all whole sequences in the ring the one with the greatest sequence number,
 * from the tail that its last entry names. Undefined when there is none, which makes the file corrupt. Entries that were
 * torn while they were written end a sequence before them. [MS-VHDX] 2.3.2.
 */
export function activeSequence(log: Log): readonly LogEntry[] | undefined {
  let active: readonly LogEntry[] | undefined;
  for (let start = 0; start < log.bytes.length;) {
    const entries = sequenceAt(log, start);
    const head = entries.at(-1);
    if (head === undefined) {
      start += LOG_SECTOR;
      continue;
    }
    const whole = fromTail(entries);
    if (whole !== undefined && head.sequenceNumber > (active?.at(-1)?.sequenceNumber ?? 0n)) active = whole;
    start += entries.reduce((length, entry) => length + entry.length, 0);
  }
  return active;
}

/** Entries that follow each other in the ring and in their numbers, until one does not. */
function sequenceAt(log: Log, start: number): LogEntry[] {
  const entries: LogEntry[] = [];
  const size = log.bytes.length;
  for (let length = 0; length < size;) {
    const entry = parseLogEntry(log, (start + length) % size);
    const last = entries.at(-1);
    if (entry === undefined || length + entry.length > size) break;
    if (last !== undefined && entry.sequenceNumber !== last.sequenceNumber + 1n) break;
    entries.push(entry);
    length += entry.length;
  }
  return entries;
}

/** The part from the entry that the last one calls the tail; undefined when the tail is not among them. */
function fromTail(entries: readonly LogEntry[]): readonly LogEntry[] | undefined {
  const tail = entries.at(-1)?.tail;
  const first = entries.findIndex((entry) => entry.at === tail);
  return first < 0 ? undefined : entries.slice(first);
}
