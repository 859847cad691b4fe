import type { ConversionPlan, TargetPlan } from '@diskmorph/disk-image';
import { assert } from '@diskmorph/disk-image';
import type { ConversionChoices, FilesConversionReport, TargetFileRequest } from './convert-files.ts';
import { convertFiles, planFilesConversion } from './convert-files.ts';
import type { ImageFile } from './image-file.ts';
import type { WrittenFile } from './written-file.ts';

/** What to convert into what. */
export interface FileConversion extends ConversionChoices {
  readonly source: ImageFile;
  readonly target: TargetFileRequest;
}

/** What a conversion into one image did. Plain data. */
export interface ConversionReport extends Omit<FilesConversionReport, 'plan' | 'targets'> {
  readonly plan: FileConversionPlan;
  /** The files written, the image's own last. */
  readonly files: readonly WrittenFile[];
  /** Size in bytes of all files together. */
  readonly targetSizeBytes: number;
}

/** A plan with its one target at hand. */
export type FileConversionPlan = ConversionPlan & TargetPlan;

/** What `convertFile` would do; reads tables, writes nothing. */
export async function planFileConversion(request: FileConversion): Promise<FileConversionPlan> {
  return singleTarget(await planFilesConversion({ ...request, targets: [request.target] }));
}

/** `convertFiles` into one image. */
export async function convertFile(request: FileConversion): Promise<ConversionReport> {
  return singleReport(await convertFiles({ ...request, targets: [request.target] }));
}

/** The report of a conversion into one image. */
export function singleReport({ targets, plan, ...report }: FilesConversionReport): ConversionReport {
  const files = targets[0]?.files ?? [];
  const targetSizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  return { ...report, plan: singleTarget(plan), files, targetSizeBytes };
}

function singleTarget(plan: ConversionPlan): FileConversionPlan {
  const target = plan.targets[0];
  assert(target !== undefined && plan.targets.length === 1, 'the plan has one target');
  return { ...plan, ...target };
}
