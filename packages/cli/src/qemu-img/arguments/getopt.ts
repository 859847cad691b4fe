import { usageFailure } from '../failure.ts';

/** One option of a command. */
export interface OptionSpec {
  readonly short?: string;
  readonly long?: string;
  readonly takes: 'nothing' | 'value';
}

/** An option as it was given; `name` is its long name, or its letter where it has none. */
export interface GivenOption {
  readonly name: string;
  readonly value: string;
}

/** A command line taken apart: options in the order they were given, and everything else. */
export interface GivenLine {
  readonly options: readonly GivenOption[];
  readonly operands: readonly string[];
}

/** The name under which an option is reported. */
export function optionName(spec: OptionSpec): string {
  return spec.long ?? spec.short ?? '';
}

/**
 * Takes a command line apart as getopt_long does: options and operands in any order, letters joined (`-qf raw`), values
 * glued to a letter (`-fraw`) or to a name (`--output=json`), names cut short as long as they are unambiguous, nothing
 * but operands after `--`. A value may begin with `-`. `line[0]` is the command's name, as in C.
 * Throws a usage failure naming the element that getopt was at.
 */
export function parseLine(line: readonly string[], specs: readonly OptionSpec[]): GivenLine {
  const state: ParseState = { line, specs, options: [], operands: [], index: 1 };
  while (state.index < line.length) {
    const element = line[state.index] ?? '';
    if (element === '--') {
      state.operands.push(...line.slice(state.index + 1));
      break;
    }
    if (element.startsWith('--')) takeLong(state, element);
    else if (element.startsWith('-') && element !== '-') takeShort(state, element);
    else {
      state.operands.push(element);
      state.index++;
    }
  }
  return { options: state.options, operands: state.operands };
}

interface ParseState {
  readonly line: readonly string[];
  readonly specs: readonly OptionSpec[];
  readonly options: GivenOption[];
  readonly operands: string[];
  index: number;
}

function takeLong(state: ParseState, element: string): void {
  const equals = element.indexOf('=');
  const given = element.slice(2, equals < 0 ? undefined : equals);
  const spec = findLong(state.specs, given);
  state.index++;
  if (spec === undefined || (spec.takes === 'nothing' && equals >= 0)) throw unrecognized(element);
  if (spec.takes === 'nothing') state.options.push({ name: optionName(spec), value: '' });
  else if (equals >= 0) state.options.push({ name: optionName(spec), value: element.slice(equals + 1) });
  else takeValue(state, spec, element);
}

function findLong(specs: readonly OptionSpec[], given: string): OptionSpec | undefined {
  const exact = specs.find((spec) => spec.long === given);
  if (exact !== undefined) return exact;
  const starting = specs.filter((spec) => spec.long?.startsWith(given) === true);
  return starting.length === 1 ? starting[0] : undefined;
}

function takeShort(state: ParseState, element: string): void {
  const { line, specs, operands, options } = state;
  for (let at = 1; at < element.length; at++) {
    const letter = element[at] ?? '';
    const spec = specs.find((candidate) => candidate.short === letter);
    const isLast = at === element.length - 1;
    if (spec === undefined) {
      // getopt has not left a group of letters before its last one, so the element before it is named.
      throw unrecognized(isLast ? element : (operands.at(-1) ?? line[state.index - 1] ?? ''));
    }
    if (spec.takes === 'nothing') options.push({ name: optionName(spec), value: '' });
    else if (isLast) {
      state.index++;
      takeValue(state, spec, element);
      return;
    } else {
      options.push({ name: optionName(spec), value: element.slice(at + 1) });
      break;
    }
  }
  state.index++;
}

function takeValue(state: ParseState, spec: OptionSpec, element: string): void {
  const value = state.line[state.index];
  if (value === undefined) throw usageFailure(`missing argument for option '${element}'`);
  state.options.push({ name: optionName(spec), value });
  state.index++;
}

function unrecognized(element: string): Error {
  return usageFailure(`unrecognized option '${element}'`);
}
