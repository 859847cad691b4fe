import type { OptionEntry } from '../arguments/option-string.ts';
import { parseOptionString, splitOptions } from '../arguments/option-string.ts';
import { parseByteCount } from '../arguments/size.ts';
import { Failure } from '../failure.ts';
import type { CreateOption } from './option-table.ts';
import { allOptions } from './option-table.ts';

/** The values of all `-o` in their canonical form: sizes in bytes, `on` or `off`. Later ones win. */
export type CreateValues = ReadonlyMap<string, string>;

/** Is one of the `-o` a question for help? */
export function asksForHelp(given: readonly string[]): boolean {
  return given.some((text) => splitOptions(text).some((part) => part === 'help' || part === '?'));
}

/** Reads all `-o` for a format. `prefix` begins every message. Throws a failure for options it does not have. */
export function readCreateOptions(driver: string, given: readonly string[], prefix: string): CreateValues {
  const known = allOptions(driver);
  const values = new Map<string, string>();
  for (const entry of given.flatMap(parseOptionString)) {
    const { option, value } = resolve(entry, known, prefix);
    values.set(option.name, canonical(option, value, prefix));
  }
  return values;
}

/** An option without a value is on; with `no` before its name it is off. */
function resolve(
  { name, value }: OptionEntry,
  known: readonly CreateOption[],
  prefix: string,
): { readonly option: CreateOption; readonly value: string } {
  const option = known.find((candidate) => candidate.name === name);
  if (option !== undefined) return { option, value: value ?? 'on' };
  const negated =
    value === undefined && name.startsWith('no') ? known.find((one) => `no${one.name}` === name) : undefined;
  if (negated !== undefined) return { option: negated, value: 'off' };
  throw new Failure(`${prefix}Invalid parameter '${name}'`);
}

function canonical({ name, type }: CreateOption, value: string, prefix: string): string {
  if (type === 'str') return value;
  if (type === 'bool (on/off)') {
    if (['on', 'yes', 'true', 'y'].includes(value)) return 'on';
    if (['off', 'no', 'false', 'n'].includes(value)) return 'off';
    throw new Failure(`${prefix}Parameter '${name}' expects 'on' or 'off'`);
  }
  if (type === 'num') {
    if (/^\d+$/.test(value)) return value;
    throw new Failure(`${prefix}Parameter '${name}' expects a number`);
  }
  const bytes = parseByteCount(value);
  if (typeof bytes === 'bigint') return String(bytes);
  throw new Failure(
    `${prefix}Parameter '${name}' expects a non-negative number below 2^64\n` +
      'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.',
  );
}
