import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import type { VhdxHeader } from './header.ts';
import { MAX_REPLAYED_LOG_BYTES, MIB } from './limits.ts';
import { unreadLog } from './log-entry.ts';
import { logOverlay } from './log-overlay.ts';
import { activeSequence } from './log-sequence.ts';
import { vhdxError } from './vhdx-error.ts';

/** The file as it is with its log applied, and how many entries that took. */
export interface Replay {
  readonly source: ByteSource;
  readonly entries: number;
}

/**
 * Applies the log in memory, when the header says that there is one: the file is not changed. Holds at most
 * `MAX_REPLAYED_LOG_BYTES`. Throws `corrupt` for a log without a whole sequence, `truncated` for a file that is shorter
 * than it was when the log was written, `unsupported` for another log version than 0, `unsafe` for a log above the limit.
 */
export async function replayLog(source: ByteSource, header: VhdxHeader): Promise<Replay> {
  if (!header.hasLog) return { source, entries: 0 };
  checkLogPlace(header);
  checkInside(source.size, header.logOffset, header.logLength);
  const bytes = await readBytes(source, header.logOffset, header.logLength);
  const entries = activeSequence(unreadLog(bytes, header.logOffset, header.logGuid));
  if (entries === undefined) {
    throw vhdxError(
      'corrupt',
      'The log should hold changes, but has no whole sequence of them',
      'log',
      header.logOffset,
    );
  }
  for (const { flushedFileOffset } of entries) {
    if (flushedFileOffset <= BigInt(source.size)) continue;
    throw vhdxError(
      'truncated',
      `The file ends at byte ${source.size}, but had at least ${flushedFileOffset} bytes when its log was written`,
      'log',
      source.size,
    );
  }
  return { source: logOverlay(source, entries), entries: entries.length };
}

function checkLogPlace({ logVersion, logOffset, logLength, at }: VhdxHeader): void {
  if (logVersion !== 0) throw vhdxError('unsupported', `Log version ${logVersion} is not known`, 'log', at + 64);
  if (logLength === 0 || logLength % MIB !== 0 || logOffset % MIB !== 0 || logOffset < MIB) {
    throw vhdxError('corrupt', `A log of ${logLength} bytes cannot lie at byte ${logOffset}`, 'log', at + 68);
  }
  if (logLength > MAX_REPLAYED_LOG_BYTES) {
    throw vhdxError(
      'unsafe',
      `The log has ${logLength} bytes; at most ${MAX_REPLAYED_LOG_BYTES} are replayed`,
      'log',
      at + 68,
    );
  }
}
