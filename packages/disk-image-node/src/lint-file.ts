import { stat } from 'node:fs/promises';
import type { Candidate, TargetProfile, TargetVerdict, Verdict } from '@diskmorph/disk-image';
import { lintCandidate } from '@diskmorph/disk-image';
import type { FileInspection } from './inspect-file.ts';
import { inspectFile } from './inspect-file.ts';
import { inspectPacked } from './inspect-packed.ts';
import type { UnwrapRequest } from './unwrap-image.ts';

/** What a target will say to a file, and what the file is. */
export interface FileLint {
  readonly lint: TargetVerdict;
  readonly inspection: Verdict;
}

/** With `unwrap` containers are opened; without it nothing is said about what is inside. */
export type LintRequest = Omit<FileInspection, 'window' | 'scattered'> & { readonly unwrap?: UnwrapRequest };

/** Inspects the file and holds it against the rules of the target. Opens no other file; throws as `inspectPacked` does. */
export async function lintFile(filePath: string, profile: TargetProfile, request: LintRequest = {}): Promise<FileLint> {
  const { unwrap, ...options } = request;
  const inspection =
    unwrap === undefined ? await inspectFile(filePath, options) : await inspectPacked(filePath, { ...options, unwrap });
  const { blocks } = await stat(filePath);
  const candidate: Candidate =
    inspection.packed === undefined ? { ...inspection, allocatedBytes: blocks * 512 } : inspection;
  return { lint: lintCandidate(profile, candidate), inspection };
}
