import { note, out } from './output.ts';

/** What is shown while a long command works: `    (12.34/100%)` and a carriage return. */
export interface ProgressText {
  /** Percent from 0 to 100. */
  update(percent: number): void;
  /** Shows the end; on failure only ends the line. */
  end(outcome: 'done' | 'failed'): void;
}

/** Least change that is worth a new text. */
const STEP_PERCENT = 1;

/** Progress on standard output when it is `shown`; SIGUSR1 prints one line of it on standard error either way. */
export function progressText(shown: boolean): ProgressText {
  let current = 0;
  let printed = 0;
  const text = (end: string): string => `    (${current.toFixed(2)}/100%)${end}`;
  const onSignal = (): void => note(text('\n'));
  process.on('SIGUSR1', onSignal);
  if (shown) out(text('\r'));
  const print = (): void => {
    printed = current;
    out(text('\r'));
  };
  return {
    update(percent) {
      current = percent;
      if (shown && (current - printed >= STEP_PERCENT || (current === 100 && printed !== 100))) print();
    },
    end(outcome) {
      process.off('SIGUSR1', onSignal);
      if (outcome === 'done') current = 100;
      if (shown) out(outcome === 'done' ? `${text('\r')}\n` : '\n');
    },
  };
}
