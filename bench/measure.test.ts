import { expect, test } from 'vitest';
import { measure } from './measure.ts';

const node = (script: string): { program: string; programArguments: string[] } => ({
  program: process.execPath,
  programArguments: ['-e', script],
});

test('the memory, the time and the output of a program are taken', async () => {
  const { cost, output } = await measure(node('Buffer.alloc(200 * 2 ** 20, 1); console.log("done")'));
  expect(cost.peakMebibytes).toBeGreaterThan(200);
  expect(cost.wallSeconds).toBeGreaterThan(0);
  expect(cost.cpuSeconds).toBeGreaterThan(0);
  expect(output).toBe('done\n');
});

test('a program that fails ends the measurement with its last words', async () => {
  await expect(measure(node('console.error("no such disk"); process.exit(3)'))).rejects.toThrow('no such disk');
});
