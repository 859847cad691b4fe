import type { FilesConversion, FilesConversionReport, WrittenFile } from '@diskmorph/disk-image-node';
import { checksumFile, convertFiles, planFilesConversion } from '@diskmorph/disk-image-node';
import { planText, severalText } from './conversion-text.ts';
import type { ConversionWork } from './convert-to-one.ts';
import { reportJson } from './convert-to-one.ts';
import { EXIT } from './exit-code.ts';
import { withProgress } from './work-options.ts';

/** A written file and the SHA-256 of its bytes. */
export interface ChecksummedFile extends WrittenFile {
  readonly sha256: string;
}

/** What several outputs of one read came to. */
export interface SeveralReport extends Omit<FilesConversionReport, 'targets'> {
  readonly targets: readonly { readonly files: readonly ChecksummedFile[] }[];
}

/** Converts into several images from one read, or shows the plans. Gives the exit code. */
export async function convertToSeveral(conversion: FilesConversion, work: ConversionWork): Promise<number> {
  const { given, context } = work;
  if (given.has('plan')) return showPlans(conversion, work);
  const report = await withProgress(given, context, async (how) => {
    const written = await convertFiles({ ...conversion, ...how });
    return withChecksums(written, (path) => checksumFile(path, how));
  });
  if (given.has('json')) await context.terminal.json(reportJson(report, work));
  else if (!given.has('quiet')) await context.terminal.out(severalText(report, work.source, context.terminal.outStyle));
  return EXIT.ok;
}

async function withChecksums(
  report: FilesConversionReport,
  checksum: (path: string) => Promise<string>,
): Promise<SeveralReport> {
  const targets: { readonly files: readonly ChecksummedFile[] }[] = [];
  for (const target of report.targets) {
    const files: ChecksummedFile[] = [];
    for (const file of target.files) files.push({ ...file, sha256: await checksum(file.path) });
    targets.push({ files });
  }
  return { ...report, targets };
}

async function showPlans(conversion: FilesConversion, { given, context }: ConversionWork): Promise<number> {
  const plan = await planFilesConversion(conversion);
  if (given.has('json')) {
    await context.terminal.json(plan);
    return EXIT.ok;
  }
  for (const [index, target] of plan.targets.entries()) {
    const path = conversion.targets[index]?.path ?? target.fileName;
    await context.terminal.out(planText({ ...plan, ...target }, path, context.terminal.outStyle));
  }
  return EXIT.ok;
}
