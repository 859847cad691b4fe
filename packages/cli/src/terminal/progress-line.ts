import type { Progress, ProgressPhase } from '@diskmorph/disk-image';
import { clockText, sizeText } from './size-text.ts';

/** What a progress line may use. */
export interface LineLimits {
  /** Columns; the line is shorter by one, so that no terminal wraps it. */
  readonly width: number;
  readonly unicode: boolean;
}

const PHASE_NAMES: Readonly<Record<ProgressPhase, string>> = {
  copy: 'Copying',
  verify: 'Verifying',
  digest: 'Reading',
  compare: 'Comparing',
};
const NAME_WIDTH = 9;
const MAX_BAR = 40;
const MIN_BAR = 8;

/** A phase in one word. */
export function phaseName(phase: ProgressPhase): string {
  return PHASE_NAMES[phase];
}

/** One line with phase, bar, percent, amounts, rate and time left; on a narrow terminal what matters least is left out. */
export function progressLine(progress: Progress, limits: LineLimits): string {
  const room = limits.width - 1;
  const name = phaseName(progress.phase).padEnd(NAME_WIDTH);
  const percent = `${String(Math.floor(progress.percent)).padStart(3)}%`;
  const amounts = `${fixedSize(progress.bytesDone)} of ${sizeText(progress.bytesTotal)}`;
  const rate = progress.bytesPerSecond === undefined ? '' : `${sizeText(progress.bytesPerSecond)}/s`.padStart(10);
  const left = timeLeft(progress);
  const candidates = [[amounts, rate, left], [rate, left], [left], []];
  for (const extras of candidates) {
    const tail = [percent, ...extras.filter((text) => text !== '')].join('  ');
    const barWidth = Math.min(MAX_BAR, room - name.length - tail.length - 4);
    if (barWidth >= MIN_BAR) return `${name} ${bar(progress.percent, barWidth, limits.unicode)} ${tail}`;
  }
  return `${name}${percent}`.slice(0, Math.max(0, room));
}

/** The same facts in words, for a log. */
export function progressSentence(progress: Progress): string {
  const parts = [
    `${phaseName(progress.phase)}: ${Math.floor(progress.percent)}%`,
    `${sizeText(progress.bytesDone)} of ${sizeText(progress.bytesTotal)}`,
  ];
  if (progress.bytesPerSecond !== undefined) parts.push(`${sizeText(progress.bytesPerSecond)}/s`);
  const left = timeLeft(progress);
  return [...parts, ...(left === '' ? [] : [left])].join(', ');
}

function timeLeft({ etaSeconds, bytesDone, bytesTotal }: Progress): string {
  return etaSeconds === undefined || bytesDone >= bytesTotal ? '' : `${clockText(etaSeconds)} left`;
}

/** Padded, so that the text behind it stands still while the number grows. */
function fixedSize(bytes: number): string {
  return sizeText(bytes).padStart(8);
}

function bar(percent: number, width: number, unicode: boolean): string {
  const inner = unicode ? width : width - 2;
  const filled = Math.min(inner, Math.floor((inner * percent) / 100));
  if (unicode) return '█'.repeat(filled) + '░'.repeat(inner - filled);
  return `[${'#'.repeat(filled)}${'-'.repeat(inner - filled)}]`;
}
