import { clockText, sizeText } from './size-text.ts';

/** What a progress line may use. */
export interface LineLimits {
  /** Columns; the line is shorter by one, so that no terminal wraps it. */
  readonly width: number;
  readonly unicode: boolean;
}

/** How far something is; what is not known is absent. */
export interface ShownProgress {
  /** One word: what is being done. */
  readonly title: string;
  readonly bytesDone: number;
  readonly bytesTotal?: number | undefined;
  /** From 0 to 100. */
  readonly percent?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
  readonly etaSeconds?: number | undefined;
}

const TITLE_WIDTH = 10;
const MAX_BAR = 40;
const MIN_BAR = 8;

/** One line with phase, bar, percent, amounts, rate and time left; on a narrow terminal what matters least is left out. */
export function progressLine(progress: ShownProgress, limits: LineLimits): string {
  const room = limits.width - 1;
  const name = progress.title.padEnd(TITLE_WIDTH);
  const percent = `${String(Math.floor(progress.percent ?? 0)).padStart(3)}%`;
  const amounts = sizeText(progress.bytesDone).padStart(8) + totalText(progress);
  const rate = progress.bytesPerSecond === undefined ? '' : `${sizeText(progress.bytesPerSecond)}/s`.padStart(10);
  const left = timeLeft(progress);
  const candidates = [[amounts, rate, left], [rate, left], [left], []];
  for (const extras of candidates) {
    const tail = [percent, ...extras.filter((text) => text !== '')].join('  ');
    const barWidth = Math.min(MAX_BAR, room - name.length - tail.length - 4);
    if (barWidth >= MIN_BAR) return `${name} ${bar(progress.percent ?? 0, barWidth, limits.unicode)} ${tail}`;
  }
  return `${name}${percent}`.slice(0, Math.max(0, room));
}

/** The same facts in words, for a log. */
export function progressSentence(progress: ShownProgress): string {
  const percent = progress.percent === undefined ? [] : [`${Math.floor(progress.percent)}%`];
  const parts = [...percent, sizeText(progress.bytesDone) + totalText(progress)];
  if (progress.bytesPerSecond !== undefined) parts.push(`${sizeText(progress.bytesPerSecond)}/s`);
  const left = timeLeft(progress);
  return `${progress.title}: ${[...parts, ...(left === '' ? [] : [left])].join(', ')}`;
}

function timeLeft({ etaSeconds, bytesDone, bytesTotal }: ShownProgress): string {
  return etaSeconds === undefined || bytesDone >= (bytesTotal ?? 0) ? '' : `${clockText(etaSeconds)} left`;
}

function totalText({ bytesTotal }: ShownProgress): string {
  return bytesTotal === undefined ? '' : ` of ${sizeText(bytesTotal)}`;
}

function bar(percent: number, width: number, unicode: boolean): string {
  const inner = unicode ? width : width - 2;
  const filled = Math.min(inner, Math.floor((inner * percent) / 100));
  if (unicode) return '█'.repeat(filled) + '░'.repeat(inner - filled);
  return `[${'#'.repeat(filled)}${'-'.repeat(inner - filled)}]`;
}
