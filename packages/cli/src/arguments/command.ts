import type { Terminal } from '../terminal/terminal.ts';
import type { GivenArguments } from './given-arguments.ts';

/** One option of a command, as parsed and as shown by `--help`. */
export interface OptionSpec {
  /** Without the dashes. */
  readonly long: string;
  /** One letter without the dash. */
  readonly short?: string;
  /** The placeholder of the value; an option without one is a flag. */
  readonly value?: string;
  /** True when `--long` stands for itself and only `--long=VALUE` has a value. */
  readonly valueIsOptional?: boolean;
  readonly repeatable?: boolean;
  /** The option among whose values its own are, in the order of the line. */
  readonly joins?: string;
  readonly summary: string;
}

/** What a command is given beside its arguments. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Fires at Ctrl-C and its like. */
  readonly signal: AbortSignal;
}

/** One command of the program: its help as data, and what it does. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** The placeholders of what must stand on the line, in order. */
  readonly operands: readonly string[];
  /** How many of the last operands may be left out; 0 when absent. */
  readonly optionalOperands?: number;
  readonly options: readonly OptionSpec[];
  /** Paragraphs under the usage line. */
  readonly notes?: readonly string[];
  readonly examples: readonly { readonly line: string; readonly says: string }[];
  /** What the exit codes mean here, where they mean more than success. */
  readonly exitCodes?: readonly (readonly [code: number, meaning: string])[];
  /** What is left after a cancelled run, when it is not nothing. */
  readonly afterCancel?: (given: GivenArguments) => string | undefined;
  /** Does the work and gives the exit code. Throws `ImageError` or `UsageError`. */
  run(given: GivenArguments, context: CommandContext): Promise<number>;
}

/** The command line makes no sense; the message says why and the program points to `--help`. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
