/** Runs one conversion in a process of its own, so that tests can kill it. The request is the first argument, as JSON. */
import { convertFile } from '../src/index.ts';

try {
  const report = await convertFile({
    ...JSON.parse(process.argv[2] ?? ''),
    onProgress: (progress) => process.stdout.write(`${JSON.stringify(progress)}\n`),
  });
  process.stdout.write(`${JSON.stringify({ report })}\n`);
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`);
  process.exitCode = 1;
}
