import type { JsonObject } from './json.ts';

/** What a step says of its progress, in bytes. */
export interface StepProgress {
  /** One word for what is being done. */
  readonly phase: string;
  readonly doneBytes: number;
  /** Absent when it is not known. */
  readonly totalBytes?: number;
}

/** How far a job is, as it is kept and shown. */
export type JobProgress = JsonObject & {
  readonly step: string;
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number | null;
  /** 0 to 100. */
  readonly percent: number | null;
  readonly bytesPerSecond: number | null;
  /** Seconds until this phase ends at the present rate. */
  readonly etaSeconds: number | null;
  /** Milliseconds since 1970. */
  readonly at: number;
};

/** The rate is that of the last so many milliseconds. */
const RATE_WINDOW_MS = 10_000;
/** Samples nearer to each other than this replace one another: the window stays small however often a step reports. */
const SAMPLE_SPACING_MS = 250;

interface Sample {
  readonly at: number;
  readonly doneBytes: number;
}

/** Turns a step's reports into progress with rate and remaining time. `now` gives milliseconds. */
export function progressMeter(step: string, now: () => number): (progress: StepProgress) => JobProgress {
  let phase: string | undefined;
  let samples: Sample[] = [];
  return (progress) => {
    const at = now();
    const { doneBytes, totalBytes } = progress;
    if (progress.phase !== phase || doneBytes < (samples.at(-1)?.doneBytes ?? 0)) samples = [];
    phase = progress.phase;
    const previous = samples.at(-2);
    if (previous !== undefined && at - previous.at < SAMPLE_SPACING_MS) samples.pop();
    samples.push({ at, doneBytes });
    while (samples.length > 2 && at - (samples[0]?.at ?? at) > RATE_WINDOW_MS) samples.shift();
    const bytesPerSecond = rate(samples);
    const left = totalBytes === undefined ? undefined : Math.max(0, totalBytes - doneBytes);
    const etaSeconds = left === undefined || bytesPerSecond === null ? null : Math.ceil(left / bytesPerSecond);
    const percent = totalBytes === undefined ? null : totalBytes === 0 ? 100 : (100 * doneBytes) / totalBytes;
    return {
      step,
      phase,
      doneBytes,
      totalBytes: totalBytes ?? null,
      percent: percent === null ? null : Math.min(100, percent),
      bytesPerSecond,
      etaSeconds,
      at,
    };
  };
}

function rate(samples: readonly Sample[]): number | null {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.at <= first.at) return null;
  const bytesPerSecond = Math.round(((last.doneBytes - first.doneBytes) * 1000) / (last.at - first.at));
  return bytesPerSecond > 0 ? bytesPerSecond : null;
}
