const UNITS = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;

/** Bytes for people with three digits, as `1.35 MiB`: from 1000 of one unit on the next one is used. */
export function sizeText(bytes: number): string {
  let unit = 0;
  while (bytes / 2 ** (unit * 10) >= 1000 && unit < UNITS.length - 1) unit++;
  return `${threeDigits(bytes / 2 ** (unit * 10))} ${UNITS[unit]}B`;
}

/** As C prints `%0.3g`. */
function threeDigits(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded >= 1000 ? '1e+03' : String(rounded);
}
