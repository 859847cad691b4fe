import type { ImageErrorCode } from '../../errors.ts';
import { ImageError } from '../../errors.ts';
import type { Finding } from '../../image/finding.ts';

/**
 * Something that keeps an image from being opened. `examine` reports it as a finding, `open` refuses with it: both
 * speak from the same list.
 */
export interface Fault {
  /** The stable code of the finding. */
  readonly code: string;
  /** The error code that `open` refuses with. */
  readonly refusal: ImageErrorCode;
  readonly structure: string;
  readonly message: string;
  /** Byte offset in the file. */
  readonly offset?: number;
}

/** The faults, all found in `structure`. */
export function inStructure(structure: string, faults: readonly Omit<Fault, 'structure'>[]): Fault[] {
  const placed: Fault[] = [];
  for (const fault of faults) placed.push({ ...fault, structure });
  return placed;
}

/** The fault as a finding, severity `unsafe`. */
export function faultFinding(fault: Fault): Finding {
  const finding: Finding = { code: fault.code, severity: 'unsafe', message: fault.message };
  return fault.offset === undefined ? finding : { ...finding, offset: fault.offset };
}

/** Throws the first of the faults; returns when there is none. */
export function refuseFaults(faults: readonly Fault[]): void {
  const first = faults[0];
  if (first === undefined) return;
  throw vmdkError(first.refusal, first.message, first.structure, first.offset);
}

/** An ImageError of this format; `offset` is a byte offset in the file. */
export function vmdkError(code: ImageErrorCode, message: string, structure: string, offset?: number): ImageError {
  return new ImageError(code, message, {
    format: 'vmdk',
    structure,
    ...(offset === undefined ? {} : { offset }),
  });
}
