import { ImportError } from './errors.ts';
import { diskFormatOf } from './format-table.ts';
import type { ImageTools } from './image-tools.ts';

/**
 * What a person's own file is, for people who did not say: its one signature, or raw. Never used for what others send.
 * Throws `format_mismatch` when the file could be several things.
 */
export async function detectDiskFormat(tools: ImageTools, path: string, maxVirtualSize: number): Promise<string> {
  const verdict = await tools.inspect(path, { maxVirtualSize });
  const several = verdict.findings.find((finding) => finding.code === 'several-formats');
  if (several !== undefined) {
    throw new ImportError('format_mismatch', `${several.message}; say which with --disk-format`);
  }
  return verdict.format === 'raw' && verdict.contents?.kind === 'iso9660' ? 'iso' : diskFormatOf(verdict.format);
}
