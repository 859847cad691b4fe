/** One thing wrong with the rules. */
export interface PolicyProblem {
  /** The rule that holds it; absent: the file as a whole. */
  readonly rule?: string;
  /** Where in the text of the rule, counted from 1. */
  readonly column?: number;
  readonly message: string;
}

/** The rules cannot be used; `problems` lists everything found. */
export class PolicyError extends Error {
  readonly code = 'policy';
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[]) {
    super(`The rules cannot be used:\n${problems.map((problem) => `  ${describePolicyProblem(problem)}`).join('\n')}`);
    this.name = 'PolicyError';
    this.problems = problems;
  }

  /** Each problem on one line. */
  get lines(): readonly string[] {
    return this.problems.map(describePolicyProblem);
  }
}

/** The problem on one line: `rule "name", column 7: what is wrong`. */
function describePolicyProblem({ rule, column, message }: PolicyProblem): string {
  if (rule === undefined) return message;
  return `rule "${rule}"${column === undefined ? '' : `, column ${column}`}: ${message}`;
}

/** A fault in the text of one rule, at a column counted from 1. */
export class RuleSyntaxError extends Error {
  readonly column: number;

  constructor(column: number, message: string) {
    super(message);
    this.name = 'RuleSyntaxError';
    this.column = column;
  }
}
