/** How far a long operation is, as plain data. */
export interface Progress {
  readonly phase: ProgressPhase;
  /** Bytes of guest data handled, and how many there are; ranges known to be empty count in neither. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** From 0 to 100. */
  readonly percent: number;
  /** Over the last seconds; undefined until there is something to measure. */
  readonly bytesPerSecond: number | undefined;
  readonly etaSeconds: number | undefined;
}

export type ProgressPhase = 'copy' | 'verify' | 'digest' | 'compare' | 'pack' | 'checksum';

export type ProgressListener = (progress: Progress) => void;

/** Seconds that the rate looks back. */
const RATE_WINDOW_MS = 5000;
/** Least time between two reports, except the last. */
const REPORT_INTERVAL_MS = 100;

/** Turns byte counts into progress reports, at most ten a second. */
export interface ProgressMeter {
  /** Says that `bytesDone` bytes are done in all. */
  update(bytesDone: number): void;
  /** Reports 100 %. */
  finish(): void;
}

/** A meter over `bytesTotal` bytes. `now` is a clock in milliseconds; `bytesDone` may start above 0 after a resume. */
export function progressMeter(
  phase: ProgressPhase,
  bytesTotal: number,
  ports: { readonly now: () => number; readonly onProgress: ProgressListener | undefined; readonly bytesDone?: number },
): ProgressMeter {
  const samples: { readonly at: number; readonly bytes: number }[] = [{ at: ports.now(), bytes: ports.bytesDone ?? 0 }];
  let reportedAt = Number.NEGATIVE_INFINITY;
  const report = (bytesDone: number): void => {
    const first = samples[0];
    const last = samples.at(-1);
    const elapsed = first === undefined || last === undefined ? 0 : last.at - first.at;
    const rate = elapsed > 0 && first !== undefined ? ((bytesDone - first.bytes) * 1000) / elapsed : undefined;
    ports.onProgress?.({
      phase,
      bytesDone,
      bytesTotal,
      percent: bytesTotal === 0 ? 100 : (100 * bytesDone) / bytesTotal,
      bytesPerSecond: rate,
      etaSeconds: rate === undefined || rate <= 0 ? undefined : (bytesTotal - bytesDone) / rate,
    });
  };
  return {
    update(bytesDone) {
      if (ports.onProgress === undefined) return;
      const at = ports.now();
      if (at - reportedAt < REPORT_INTERVAL_MS) return;
      reportedAt = at;
      samples.push({ at, bytes: bytesDone });
      while (samples.length > 2 && at - (samples[0]?.at ?? at) > RATE_WINDOW_MS) samples.shift();
      report(bytesDone);
    },
    finish: () => report(bytesTotal),
  };
}
