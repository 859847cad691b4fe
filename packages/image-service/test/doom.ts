/** Where a simulated process dies: at its nth operation everything stops for ever, as if it had been killed. */
export interface Doom {
  /** Put before and after everything that can be seen from outside. */
  readonly gate: () => Promise<void>;
  readonly dead: () => boolean;
  /** Operations seen so far. */
  readonly count: () => number;
  /** Runs one operation between two gates. */
  readonly through: <T>(work: () => Promise<T>) => Promise<T>;
  /** Returns when every operation that had begun before the death has ended: a dead process does nothing any more. */
  readonly still: () => Promise<void>;
}

/** Dies at operation `dieAt`, from 1; `onDeath` tells the test. */
export function doom(dieAt: number, onDeath: () => void): Doom {
  let count = 0;
  let running = 0;
  const gate = async (): Promise<void> => {
    count += 1;
    if (count === dieAt) onDeath();
    if (count >= dieAt) await new Promise(() => {});
  };
  return {
    gate,
    dead: () => count >= dieAt,
    count: () => count,
    async through(work) {
      await gate();
      running += 1;
      const result = await work().finally(() => {
        running -= 1;
      });
      await gate();
      return result;
    },
    async still() {
      while (running > 0) await new Promise(setImmediate);
    },
  };
}

/** Every method of `target` with a gate before and after it. */
export function doomed<T extends object>(target: T, { through }: Doom): T {
  return new Proxy(target, {
    get(object, name, receiver) {
      const member: unknown = Reflect.get(object, name, receiver);
      if (typeof member !== 'function') return member;
      return (...parameters: unknown[]) =>
        through(async (): Promise<unknown> => Reflect.apply(member, object, parameters));
    },
  });
}
