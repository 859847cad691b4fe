import { Failure } from '../failure.ts';

const UNITS: Readonly<Record<string, bigint>> = {
  b: 1n,
  k: 2n ** 10n,
  m: 2n ** 20n,
  g: 2n ** 30n,
  t: 2n ** 40n,
  p: 2n ** 50n,
  e: 2n ** 60n,
};
const MAX_INT64 = 2n ** 63n - 1n;
const FRACTION_DIGITS = 18;

/** What a size can be wrong in. */
export type SizeFault = 'malformed' | 'too-large';

/**
 * Bytes from `4096`, `0x1000`, `64k`, `1.5G`: one suffix of b, k, M, G, T, P, E in any case, `defaultUnit` without one.
 * Fractions are cut to whole bytes.
 */
export function parseByteCount(text: string, defaultUnit: string = 'b'): bigint | SizeFault {
  const match = /^\s*\+?(?:(0x[0-9a-f]+)|(\d+)(?:\.(\d*))?([bkmgtpe]?))$/i.exec(text);
  if (match === null) return 'malformed';
  const [, hexadecimal, whole = '0', fraction = '', suffix = ''] = match;
  const unit = UNITS[(suffix || defaultUnit).toLowerCase()] ?? 1n;
  if (hexadecimal !== undefined) return limited(BigInt(hexadecimal));
  if (/[1-9]/.test(fraction) && unit === 1n) return 'malformed';
  const digits = fraction.slice(0, FRACTION_DIGITS).padEnd(FRACTION_DIGITS, '0');
  return limited(BigInt(whole) * unit + (BigInt(digits) * unit) / 10n ** BigInt(FRACTION_DIGITS));
}

function limited(bytes: bigint): bigint | SizeFault {
  return bytes > MAX_INT64 ? 'too-large' : bytes;
}

/**
 * The size as a number of bytes. Throws a failure that calls it `what` ("image size"). Sizes from 2^53 on, which no file
 * has, are refused too.
 */
export function requireByteCount(text: string, what: string): number {
  const bytes = parseByteCount(text);
  if (bytes === 'malformed') throw malformedSize(`Invalid ${what} specified.`);
  if (bytes === 'too-large') throw new Failure(`Invalid ${what} specified. Must be between 0 and ${MAX_INT64}.`);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER))
    throw new Failure(`Invalid ${what} specified: no file can be that large`);
  return Number(bytes);
}

/** What is said of a size that cannot be read: one message over two lines. */
export function malformedSize(start: string): Failure {
  return new Failure([
    `${start} You may use k, M, G, T, P or E suffixes for`,
    'kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.',
  ]);
}
