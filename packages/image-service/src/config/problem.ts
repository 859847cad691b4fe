/** One thing wrong with the configuration. */
export interface ConfigurationProblem {
  readonly section: string;
  readonly option?: string;
  /** The value as it was given. */
  readonly value?: string;
  readonly message: string;
  /** What would have been accepted, when that is a short list. */
  readonly choices?: readonly string[];
  /** Where the value came from: `file:line`, an environment variable, `command line` or `default`. */
  readonly origin?: string;
}

/** The configuration cannot be used; `problems` lists everything found, so that one look mends it all. */
export class ConfigurationError extends Error {
  readonly code = 'configuration';
  readonly problems: readonly ConfigurationProblem[];

  constructor(problems: readonly ConfigurationProblem[]) {
    super(
      `The configuration cannot be used:\n${problems.map((problem) => `  ${describeProblem(problem)}`).join('\n')}`,
    );
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** The problem on one line: `[section] option = value: what is wrong; choices: a, b (origin)`. */
export function describeProblem(problem: ConfigurationProblem): string {
  const { section, option, value, message, choices, origin } = problem;
  const assigned = value === undefined ? '' : ` = ${value}`;
  const named = option === undefined ? '' : ` ${option}${assigned}`;
  const listed = choices === undefined ? '' : `; choices: ${choices.join(', ')}`;
  const from = origin === undefined ? '' : ` (${origin})`;
  return `[${section}]${named}: ${message}${listed}${from}`;
}
