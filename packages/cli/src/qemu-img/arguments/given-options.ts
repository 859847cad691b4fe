import { Failure } from '../failure.ts';
import type { GivenLine, OptionSpec } from './getopt.ts';
import { parseLine } from './getopt.ts';

/** The options of a command that was called, by their long names, or letters where they have none. */
export interface CommandLine {
  readonly operands: readonly string[];
  has(name: string): boolean;
  /** The value given last. */
  value(name: string): string | undefined;
  /** All values in order. */
  values(name: string): readonly string[];
}

const HELP: OptionSpec = { short: 'h', long: 'help', takes: 'nothing' };
const OBJECT: OptionSpec = { long: 'object', takes: 'value' };

/** Thrown for `--help`: not a failure, but the end of the run. */
export class HelpAsked extends Error {}

/** Reads the arguments of a command. Every command knows `--help` and `--object`. */
export function readCommandLine(name: string, args: readonly string[], specs: readonly OptionSpec[]): CommandLine {
  const given: GivenLine = parseLine([name, ...args], [HELP, OBJECT, ...specs]);
  if (given.options.some((option) => option.name === 'help')) throw new HelpAsked();
  const values = (wanted: string): readonly string[] =>
    given.options.filter((option) => option.name === wanted).map((option) => option.value);
  for (const object of values('object')) refuseObject(object);
  return {
    operands: given.operands,
    has: (wanted) => given.options.some((option) => option.name === wanted),
    value: (wanted) => values(wanted).at(-1),
    values,
  };
}

/** Secrets are what callers define; a secret that nothing uses is harmless, and what would use it is refused there. */
function refuseObject(object: string): void {
  const type = object.split(',')[0]?.replace(/^qom-type=/, '') ?? '';
  if (type !== 'secret') throw new Failure(`Parameter 'qom-type' does not accept value '${type}'`);
}

/** The value of `--output`. */
export function outputFormat(line: CommandLine): 'human' | 'json' {
  const given = line.value('output') ?? 'human';
  if (given === 'human' || given === 'json') return given;
  throw new Failure('--output must be used with human or json as argument.');
}

const CACHE_MODES: ReadonlySet<string> = new Set(['none', 'off', 'writeback', 'writethrough', 'directsync', 'unsafe']);

/** Checks a cache mode. All are accepted: whatever is asked, the result is on stable storage before it gets its name. */
export function checkCacheMode(mode: string | undefined, what: 'cache' | 'source cache'): void {
  if (mode !== undefined && !CACHE_MODES.has(mode)) throw new Failure(`Invalid ${what} option: ${mode}`);
}
