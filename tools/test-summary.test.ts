import { expect, test } from 'vitest';
import type { VitestReport } from './test-summary.ts';
import { summarize } from './test-summary.ts';

function report(changes: Partial<VitestReport>): VitestReport {
  return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [], ...changes };
}

test.each([
  { name: 'all passed', given: report({ numPassedTests: 3 }), line: '3 passed, 0 failed' },
  {
    name: 'skipped and planned tests are counted',
    given: report({ numPassedTests: 3, numPendingTests: 1, numTodoTests: 1 }),
    line: '3 passed, 0 failed, 2 skipped',
  },
])('a green run: $name', ({ given, line }) => {
  expect(summarize(given, 0)).toEqual({ line, exitCode: 0 });
});

test.each([
  { name: 'failed tests', given: report({ numPassedTests: 3, numFailedTests: 2 }), line: '3 passed, 2 failed' },
  {
    name: 'a file that could not be loaded',
    given: report({ numPassedTests: 3, testResults: [{ status: 'failed', assertionResults: [] }] }),
    line: '3 passed, 1 failed',
  },
  {
    name: 'a file that failed by its tests is counted by them alone',
    given: report({ numFailedTests: 1, testResults: [{ status: 'failed', assertionResults: [{ status: 'failed' }] }] }),
    line: '0 passed, 1 failed',
  },
  {
    name: 'an unhandled error after tests that all passed',
    given: report({ numPassedTests: 3 }),
    line: '3 passed, 1 failed',
  },
  { name: 'no report, because the runner died', given: undefined, line: '0 passed, 1 failed' },
])('a red run: $name', ({ given, line }) => {
  expect(summarize(given, 1)).toEqual({ line, exitCode: 1 });
});

test('a run without any test is not green', () => {
  expect(summarize(report({}), 0)).toEqual({ line: '0 passed, 1 failed', exitCode: 1 });
});
