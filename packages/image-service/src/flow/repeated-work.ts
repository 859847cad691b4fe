/** Work that is done again and again. */
export interface RepeatedWork {
  /** Lets the next round begin at once. */
  wake(): void;
  /** Returns when the round under way has ended; there is none after it. */
  end(): Promise<void>;
}

/** Does `work` again and again, `pauseMs` after it ended; what it throws is told and does not end it. */
export function repeatWork(
  work: () => Promise<void>,
  pauseMs: number,
  onFault: (error: unknown) => void,
): RepeatedWork {
  let ended = false;
  let woken = false;
  let endPause: (() => void) | undefined;
  const rounds = async (): Promise<void> => {
    while (!ended) {
      woken = false;
      await work().catch(onFault);
      if (ended || woken) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs);
        endPause = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  const running = rounds();
  const wake = (): void => {
    woken = true;
    endPause?.();
  };
  return {
    wake,
    end: () => {
      ended = true;
      wake();
      return running;
    },
  };
}
