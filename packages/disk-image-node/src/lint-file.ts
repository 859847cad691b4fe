import { stat } from 'node:fs/promises';
import type { Candidate, TargetProfile, TargetVerdict, Verdict } from '@diskmorph/disk-image';
import { lintCandidate } from '@diskmorph/disk-image';
import type { FileInspection } from './inspect-file.ts';
import { inspectFile } from './inspect-file.ts';

/** What a target will say to a file, and what the file is. */
export interface FileLint {
  readonly lint: TargetVerdict;
  readonly inspection: Verdict;
}

/** Inspects the file and holds it against the rules of the target. Opens no other file; throws only `io` and `aborted`. */
export async function lintFile(
  filePath: string,
  profile: TargetProfile,
  options: FileInspection = {},
): Promise<FileLint> {
  const inspection = await inspectFile(filePath, options);
  const { blocks } = await stat(filePath);
  const candidate: Candidate = { ...inspection, allocatedBytes: blocks * 512 };
  return { lint: lintCandidate(profile, candidate), inspection };
}
