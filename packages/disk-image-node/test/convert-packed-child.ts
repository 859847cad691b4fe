/** Takes an image out of its containers and converts it, in a process of its own that tests can kill. The request is the first argument, as JSON. */
import type { FilesConversionReport } from '../src/index.ts';
import { convertFiles, detectFormat, unwrapLastingly } from '../src/index.ts';

/** What to convert, with a checkpoint directory. */
export interface PackedRequest {
  readonly container: string;
  readonly entry?: string;
  readonly target: { readonly path: string; readonly format: string };
  readonly checkpoint: { readonly path: string; readonly intervalBytes: number };
}

/** A line of its output. */
export type ChildLine =
  | { readonly phase: string; readonly percent: number }
  | { readonly report: FilesConversionReport }
  | { readonly error: { readonly code?: string; readonly message: string } };

const say = (line: ChildLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

try {
  const { container, entry, target, checkpoint } = JSON.parse(process.argv[2] ?? '') as PackedRequest;
  const unwrapped = await unwrapLastingly(container, {
    directory: checkpoint.path,
    ...(entry === undefined ? {} : { entry }),
    onProgress: ({ consumedBytes, totalBytes }) =>
      say({ phase: 'unpack', percent: (100 * consumedBytes) / Math.max(1, totalBytes) }),
  });
  const { name: format } = await detectFormat(unwrapped.file);
  const report = await convertFiles({
    source: { ...unwrapped.file, format },
    targets: [target],
    checkpoint,
    workers: 1,
    onProgress: ({ phase, percent }) => say({ phase, percent: percent ?? 0 }),
  });
  await unwrapped.cleanup();
  say({ report });
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  say({ error: { message, ...(code === undefined ? {} : { code }) } });
  process.exitCode = 1;
}
