const UNITS = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;

/** Bytes for people with three digits, as `1.35 MiB`: from 1000 of one unit on the next one is used. */
export function sizeText(bytes: number): string {
  let unit = 0;
  while (bytes / 2 ** (unit * 10) >= 1000 && unit < UNITS.length - 1) unit++;
  return `${threeDigits(bytes / 2 ** (unit * 10))} ${UNITS[unit]}B`;
}

/** As C prints `%0.3g`: three digits, of two that are as near the even one. */
function threeDigits(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  const rounded = roundHalfEven(value, digits);
  return rounded >= 1000 ? '1e+03' : String(rounded);
}

/** The number with `digits` decimals that is nearest, as C's printf rounds. */
export function roundHalfEven(value: number, digits: number): number {
  const scale = 10 ** digits;
  const below = Math.floor(value * scale);
  const rest = value * scale - below;
  const up = rest === 0.5 ? below % 2 === 1 : rest > 0.5;
  return (below + (up ? 1 : 0)) / scale;
}
