import type { Verdict } from '@diskmorph/disk-image';
import { ImportError } from './errors.ts';
import { diskFormatOf } from './format-table.ts';
import type { ImageTools } from './image-tools.ts';

/**
 * What a person's own file is, for people who did not say: its one signature, or raw. Never used for what others send.
 * Throws `format_mismatch` when the file could be several things.
 */
export async function detectDiskFormat(tools: ImageTools, path: string, maxVirtualSize: number): Promise<string> {
  return formatOf(await tools.inspect(path, { maxVirtualSize }));
}

/** The same of an image in a container. Throws `unsafe_image` also when it cannot be taken out. */
export async function detectPackedFormat(
  tools: ImageTools,
  path: string,
  options: Parameters<ImageTools['inspectPacked']>[1],
): Promise<string> {
  const verdict = await tools.inspectPacked(path, options);
  const closed = verdict.findings.find(
    ({ code }) => code === 'unreadable-container' || code === 'container-not-opened',
  );
  if (closed !== undefined) throw new ImportError('unsafe_image', closed.message);
  return formatOf(verdict);
}

function formatOf(verdict: Verdict): string {
  const several = verdict.findings.find((finding) => finding.code === 'several-formats');
  if (several !== undefined) {
    throw new ImportError('format_mismatch', `${several.message}; say which with --disk-format`);
  }
  return verdict.format === 'raw' && verdict.contents?.kind === 'iso9660' ? 'iso' : diskFormatOf(verdict.format);
}
