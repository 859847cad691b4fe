import { ImageError } from '../errors.ts';
import type { GivenOptions, OptionDescription } from './format.ts';

/** Throws `out_of_bounds` for an option that the format does not have, naming those it has. */
export function rejectUnknownOptions(format: string, given: GivenOptions, known: readonly OptionDescription[]): void {
  for (const name of Object.keys(given)) {
    if (known.some((option) => option.name === name)) continue;
    const names = known.map((option) => option.name).join(', ');
    throw new ImageError(
      'out_of_bounds',
      `${format} has no option "${name}"${names === '' ? '' : `; it has ${names}`}`,
      { format },
    );
  }
}

/** The option as one of `choices`, or `fallback` when it is not given. Throws `out_of_bounds` otherwise. */
export function choiceOption<T extends string>(
  given: GivenOptions,
  name: string,
  choices: readonly T[],
  fallback: T,
): T {
  const value = given[name];
  if (value === undefined) return fallback;
  const choice = choices.find((candidate) => candidate === value);
  if (choice !== undefined) return choice;
  throw new ImageError('out_of_bounds', `Option ${name}=${value} is not one of ${choices.join(', ')}`);
}

/** The option as `on`/`off` (also `yes`/`no`, `true`/`false`). */
export function booleanOption(given: GivenOptions, name: string, fallback: boolean): boolean {
  const value = given[name];
  if (value === undefined) return fallback;
  if (['on', 'yes', 'true', ''].includes(value)) return true;
  if (['off', 'no', 'false'].includes(value)) return false;
  throw new ImageError('out_of_bounds', `Option ${name}=${value} is neither on nor off`);
}

/** The option as a UUID in text, in lower case. */
export function uuidOption(given: GivenOptions, name: string): string | undefined {
  const value = given[name];
  if (value === undefined) return undefined;
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) return value.toLowerCase();
  throw new ImageError('out_of_bounds', `Option ${name}=${value} is not a UUID`);
}

/** The option as an integer from `min` to `max`. */
export function integerOption(
  given: GivenOptions,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const value = given[name];
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() !== '' && Number.isInteger(number) && number >= range.min && number <= range.max) return number;
  throw new ImageError(
    'out_of_bounds',
    `Option ${name}=${value} is not a whole number from ${range.min} to ${range.max}`,
  );
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
  e: 2 ** 60,
};

/** Bytes from `65536`, `64k`, `1.5G`: binary multiples, any case, an optional `iB` or `B`. Undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([bkmgtpe]?)(?:i?b)?$/i.exec(text.trim());
  const unit = SIZE_UNITS[(match?.[2] ?? '?').toLowerCase()];
  if (match === null || unit === undefined) return undefined;
  const bytes = Math.floor(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The option as a size in bytes, one of `choices` when given. */
export function sizeOption(given: GivenOptions, name: string): number | undefined {
  const value = given[name];
  if (value === undefined) return undefined;
  const bytes = parseSize(value);
  if (bytes !== undefined) return bytes;
  throw new ImageError('out_of_bounds', `Option ${name}=${value} is not a size such as 64k or 2M`);
}
