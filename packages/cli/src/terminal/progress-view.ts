import { UsageError } from '../arguments/command.ts';
import type { ShownProgress } from './progress-line.ts';
import { progressLine, progressSentence } from './progress-line.ts';
import type { Terminal } from './terminal.ts';

/** How progress is shown: redrawn in place, as lines of a log, as one JSON event a line, or not. */
export type ProgressMode = 'bar' | 'lines' | 'json' | 'none';

/** Shows how far a long operation is, on the stream for notes. */
export interface ProgressView {
  /** `event` is what a program gets to see of the same. */
  show(progress: ShownProgress, event: object): void;
  /** Takes the bar off the screen; nothing is shown afterwards. */
  close(): void;
}

const REDRAW_INTERVAL_MS = 100;
/** A log gets a line when this much time has passed, or this much work was done, whichever is first ... */
const LINE_INTERVAL_MS = 5000;
const LINE_STEP_PERCENT = 10;
/** ... but no two lines closer than this. */
const LEAST_LINE_INTERVAL_MS = 1000;

/** The view of that mode. `now` is a clock in milliseconds. */
export function progressView(mode: ProgressMode, terminal: Terminal, now: () => number): ProgressView {
  if (mode === 'bar') return barView(terminal, now);
  if (mode === 'lines') return linesView(terminal, now);
  if (mode === 'json') return jsonView(terminal);
  return { show: () => {}, close: () => {} };
}

/** The mode from `--progress` and `--quiet`; a bar where notes go to a terminal, else lines. Throws `UsageError`. */
export function chooseProgressMode(wanted: string | undefined, quiet: boolean, terminal: Terminal): ProgressMode {
  if (wanted === 'bar' || wanted === 'lines' || wanted === 'json' || wanted === 'none') return wanted;
  if (wanted !== undefined && wanted !== 'auto') {
    throw new UsageError(`--progress ${wanted} is not one of auto, bar, lines, json, none`);
  }
  if (quiet) return 'none';
  return terminal.notesAreLive ? 'bar' : 'lines';
}

const CLEAR_LINE = '\r\u001b[2K';

function barView(terminal: Terminal, now: () => number): ProgressView {
  let drawnAt = Number.NEGATIVE_INFINITY;
  let visible = false;
  return {
    show(progress) {
      const at = now();
      if (at - drawnAt < REDRAW_INTERVAL_MS) return;
      drawnAt = at;
      visible = true;
      terminal.note(CLEAR_LINE + progressLine(progress, { width: terminal.width(), unicode: terminal.unicode }));
    },
    close() {
      if (visible) terminal.note(CLEAR_LINE);
      visible = false;
      drawnAt = Number.POSITIVE_INFINITY;
    },
  };
}

function linesView(terminal: Terminal, now: () => number): ProgressView {
  let last: { readonly at: number; readonly title?: string; readonly percent: number } = { at: now(), percent: 0 };
  const isDue = (progress: ShownProgress, at: number): boolean => {
    const waited = at - last.at;
    if (waited < LEAST_LINE_INTERVAL_MS) return false;
    const percent = progress.percent ?? 0;
    const advanced = progress.title === last.title ? percent - last.percent : percent;
    return waited >= LINE_INTERVAL_MS || advanced >= LINE_STEP_PERCENT;
  };
  return {
    show(progress) {
      const at = now();
      if (!isDue(progress, at)) return;
      last = { at, title: progress.title, percent: progress.percent ?? 0 };
      terminal.note(`${progressSentence(progress)}\n`);
    },
    close: () => {},
  };
}

function jsonView(terminal: Terminal): ProgressView {
  return {
    show: (_progress, event) => terminal.note(`${JSON.stringify({ event: 'progress', ...event })}\n`),
    close: () => {},
  };
}
