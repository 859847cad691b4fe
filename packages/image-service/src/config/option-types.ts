import { z } from 'zod';

/** How the text of an option becomes its value. */
export interface OptionType<T> {
  /** For the sample file: `integer value`, `list value` and so on, as operators know it. */
  readonly kind: string;
  readonly schema: z.ZodType<T, string>;
  readonly choices?: readonly string[];
  /** The key may be repeated; the schema then gets all values joined by line feeds. */
  readonly repeated?: true;
}

type Refuse = (message: string) => never;

function typeFrom<T>(
  kind: string,
  parse: (text: string, refuse: Refuse) => T,
  more: { readonly choices?: readonly string[]; readonly repeated?: true } = {},
): OptionType<T> {
  const schema = z.string().transform((text, context) => {
    try {
      return parse(text.trim(), (message) => {
        throw new Refusal(message);
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
  return { kind, schema, ...more };
}

class Refusal extends Error {}

/** Any text. */
export const text: OptionType<string> = typeFrom('string value', (value) => value);

/** An absolute path of a directory or file. */
export const path: OptionType<string> = typeFrom('absolute path', (value, refuse) => {
  if (!value.startsWith('/')) refuse('must be an absolute path');
  if (value.includes('\0')) refuse('must not hold a null character');
  return value;
});

/** One of `choices`, exactly as written. */
export function choice<T extends string>(choices: readonly T[]): OptionType<T> {
  const parse = (value: string, refuse: Refuse): T =>
    choices.find((candidate) => candidate === value) ?? refuse('is not one of the choices');
  return typeFrom('string value', parse, { choices });
}

/** A whole number in bounds. */
export function integer(bounds: { readonly min: number; readonly max?: number }): OptionType<number> {
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  return typeFrom('integer value', (value, refuse) => {
    if (!/^[+-]?\d+$/.test(value)) refuse('is not a whole number');
    const number = Number(value);
    if (number < bounds.min || number > max) {
      refuse(bounds.max === undefined ? `must be at least ${bounds.min}` : `must be from ${bounds.min} to ${max}`);
    }
    return number;
  });
}

const SIZE_UNITS = ['', 'K', 'M', 'G', 'T', 'P'];

/** A number of bytes, also written `64K`, `10G`, `2T` (binary multiples). */
export const size: OptionType<number> = typeFrom('size in bytes', (value, refuse) => {
  const match = /^(\d+)\s*([KMGTP]?)(?:i?B)?$/i.exec(value);
  const bytes = Number(match?.[1]) * 1024 ** SIZE_UNITS.indexOf((match?.[2] ?? '').toUpperCase());
  return Number.isSafeInteger(bytes) ? bytes : refuse('is not a size such as 1073741824 or 1G');
});

const TRUE = new Set(['true', '1', 'on', 'yes']);
const FALSE = new Set(['false', '0', 'off', 'no']);

/** `true`, `1`, `on`, `yes` or `false`, `0`, `off`, `no` in any case. */
export const boolean: OptionType<boolean> = typeFrom(
  'boolean value',
  (value, refuse) => {
    if (TRUE.has(value.toLowerCase())) return true;
    return FALSE.has(value.toLowerCase()) ? false : refuse('is neither true nor false');
  },
  { choices: ['true', 'false'] },
);

/** A comma list, with or without brackets around it; empty items are dropped. */
export const list: OptionType<readonly string[]> = typeFrom('list value', (value) => {
  const inner = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value;
  return inner.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]));
});

/** The key repeated, a value each time; empty values are dropped. */
export const repeatedList: OptionType<readonly string[]> = typeFrom(
  'multi valued',
  (value) => value.split('\n').flatMap((item) => (item.trim() === '' ? [] : [item.trim()])),
  { repeated: true },
);

/** `key:value,key2:value2`, in order. */
export const dictionary: OptionType<ReadonlyMap<string, string>> = typeFrom('dict value', (value, refuse) => {
  const entries = new Map<string, string>();
  for (const item of value.split(',')) {
    if (item.trim() === '') continue;
    const colon = item.indexOf(':');
    const key = item.slice(0, Math.max(0, colon)).trim();
    if (key === '') refuse(`"${item.trim()}" is not "key:value"`);
    if (entries.has(key)) refuse(`"${key}" is there twice`);
    entries.set(key, item.slice(colon + 1).trim());
  }
  return entries;
});

/** `name=value` pairs for one target format: given once with commas, or the key repeated. */
export const formatOptions: OptionType<Readonly<Record<string, string>>> = typeFrom(
  'name=value list',
  (value, refuse) => {
    const options: Record<string, string> = {};
    for (const item of value.split(/[,\n]/)) {
      if (item.trim() === '') continue;
      const equal = item.indexOf('=');
      const name = item.slice(0, Math.max(0, equal)).trim();
      if (!/^[a-z][a-z0-9_]*$/.test(name)) refuse(`"${item.trim()}" is not "name=value"`);
      options[name] = item.slice(equal + 1).trim();
    }
    return options;
  },
  { repeated: true },
);
