/** The part of vitest's JSON report that is counted. */
export interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly VitestFileResult[];
}

/** One test file; a file that could not even be loaded has failed without a failed test. */
export interface VitestFileResult {
  readonly status: string;
  readonly assertionResults: readonly { readonly status: string }[];
}

/** The closing line and the exit code of a test run. */
export interface TestSummary {
  readonly line: string;
  readonly exitCode: number;
}

/**
 * `N passed, N failed`, then `, N skipped` when there are any. A file that failed as a whole counts as one failure, and
 * so does a run that ended badly for another reason (no report, no test, an unhandled error): it never looks green.
 */
export function summarize(report: VitestReport | undefined, vitestExitCode: number): TestSummary {
  const passed = report?.numPassedTests ?? 0;
  const skipped = (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0);
  const counted = (report?.numFailedTests ?? 0) + failedFiles(report);
  const endedBadly = vitestExitCode !== 0 || report === undefined || passed + counted === 0;
  const failed = endedBadly ? Math.max(1, counted) : counted;
  const line = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  return { line, exitCode: failed > 0 ? 1 : 0 };
}

function failedFiles(report: VitestReport | undefined): number {
  const files = report?.testResults ?? [];
  return files.filter((file) => file.status === 'failed' && !hasFailedTest(file)).length;
}

function hasFailedTest(file: VitestFileResult): boolean {
  return file.assertionResults.some((result) => result.status === 'failed');
}
