import { parseArgs } from 'node:util';
import type { Command, OptionSpec } from './command.ts';
import { UsageError } from './command.ts';
import { nearestName } from './nearest-name.ts';

/** The arguments of one run, checked against its command. Option names are the long ones, without dashes. */
export interface GivenArguments {
  readonly operands: readonly string[];
  /** True when the option was given, with a value or without. */
  has(name: string): boolean;
  /** The value given last, undefined when there is none. */
  text(name: string): string | undefined;
  /** Every value, in order. */
  all(name: string): readonly string[];
  /** The value as a whole number of at least `min`. Throws `UsageError`. */
  integer(name: string, min: number): number | undefined;
}

/** The options that every command has. */
export const HELP_OPTION: OptionSpec = { long: 'help', short: 'h', summary: 'Show this help' };

/** Parses what follows the command's name. Throws `UsageError` naming the argument at fault. */
export function parseArguments(command: Command, line: readonly string[]): GivenArguments {
  const specs = [...command.options, HELP_OPTION];
  const { tokens } = parseArgs({ args: [...line], options: parserOptions(specs), strict: false, tokens: true });
  const values = new Map<string, (string | undefined)[]>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = requireSpec(specs, token.rawName, token.name);
    checkValue(spec, token.rawName, token.value);
    const name = spec.joins ?? spec.long;
    const earlier = values.get(name) ?? [];
    values.set(name, spec.repeatable === true ? [...earlier, token.value] : [token.value]);
  }
  if (!values.has(HELP_OPTION.long)) checkOperands(command, operands);
  return givenArguments(operands, values);
}

function parserOptions(
  specs: readonly OptionSpec[],
): Record<string, { type: 'string' | 'boolean'; short?: string; multiple: true }> {
  return Object.fromEntries(
    specs.map((spec) => [
      spec.long,
      {
        type: spec.value === undefined || spec.valueIsOptional === true ? 'boolean' : 'string',
        multiple: true,
        ...(spec.short === undefined ? {} : { short: spec.short }),
      },
    ]),
  );
}

function requireSpec(specs: readonly OptionSpec[], rawName: string, name: string): OptionSpec {
  const spec = specs.find((candidate) => candidate.long === name);
  if (spec !== undefined) return spec;
  const near = nearestName(
    name,
    specs.map((candidate) => candidate.long),
  );
  throw new UsageError(`There is no option ${rawName}${near === undefined ? '' : `; did you mean --${near}?`}`);
}

function checkValue(spec: OptionSpec, rawName: string, value: string | undefined): void {
  if (spec.value === undefined && value !== undefined) throw new UsageError(`${rawName} takes no value`);
  if (spec.value !== undefined && value === undefined && spec.valueIsOptional !== true) {
    throw new UsageError(`${rawName} needs a value: ${rawName} ${spec.value}`);
  }
}

function checkOperands(command: Command, operands: readonly string[]): void {
  const wanted = command.operands;
  const missing = wanted[operands.length];
  const needed = wanted.length - (command.optionalOperands ?? 0);
  if (operands.length < needed && missing !== undefined) throw new UsageError(`${missing} is missing`);
  const extra = operands[wanted.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many`);
}

function givenArguments(
  operands: readonly string[],
  values: ReadonlyMap<string, readonly (string | undefined)[]>,
): GivenArguments {
  const all = (name: string): readonly string[] => (values.get(name) ?? []).filter((value) => value !== undefined);
  return {
    operands,
    has: (name) => values.has(name),
    text: (name) => all(name).at(-1),
    all,
    integer(name, min) {
      const text = all(name).at(-1);
      if (text === undefined) return undefined;
      const number = Number(text);
      if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= min) return number;
      throw new UsageError(`--${name} ${text} is not a whole number of at least ${min}`);
    },
  };
}
