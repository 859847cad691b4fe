/** Choices that follow from a seed. */
export interface Chance {
  /** A whole number from 0 to `below`, exclusive. */
  number(below: number): number;
  pick<T>(from: readonly T[]): T;
  /** True so often in a hundred times. */
  percent(share: number): boolean;
}

/** Mulberry32: a few lines, and every bit of the seed counts. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const number = (below: number): number => Math.floor(next() * below);
  return {
    number,
    pick(from) {
      const picked = from[number(from.length)];
      if (picked === undefined) throw new Error('assertion failed: there is something to pick from');
      return picked;
    },
    percent: (share) => number(100) < share,
  };
}
