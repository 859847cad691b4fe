import type { ImageErrorCode } from '../../errors.ts';
import { ImageError } from '../../errors.ts';
import type { Finding, Severity } from '../../image/finding.ts';
import { qcow2Error } from './qcow2-error.ts';

/** Something wrong with the metadata: a finding when the image is examined, an error when it is opened. */
export interface Fault {
  /** The finding's stable code. */
  readonly code: string;
  readonly severity: Severity;
  /** The error that `open` throws for it. */
  readonly errorCode: ImageErrorCode;
  readonly message: string;
  readonly structure: string;
  /** Byte offset in the file. */
  readonly offset: number;
}

/** The fault as an error. */
export function faultError(fault: Fault): ImageError {
  return qcow2Error(fault.errorCode, fault.message, fault);
}

/** The fault as a finding. */
export function faultFinding(fault: Fault): Finding {
  return { code: fault.code, severity: fault.severity, offset: fault.offset, message: fault.message };
}

/** A fault for an error thrown while a table was parsed; anything but an `ImageError` about the image is rethrown. */
export function errorFault(error: unknown): Fault {
  if (!(error instanceof ImageError) || (error.code !== 'corrupt' && error.code !== 'truncated')) throw error;
  return {
    code: error.code === 'truncated' ? 'truncated' : 'corrupt-table',
    severity: 'unsafe',
    errorCode: error.code,
    message: error.message,
    structure: error.structure ?? 'header',
    offset: error.offset ?? 0,
  };
}

/** A table that the header or another table points at. Sizes and offsets in bytes. */
export interface TablePlace {
  readonly structure: string;
  readonly hostOffset: number;
  readonly sizeBytes: number;
  readonly maxSizeBytes: number;
  /** Byte offset of the field that points at it. */
  readonly field: number;
}

/** What is wrong with where a table lies: too large, not on a cluster boundary, in the header, or beyond the file. */
export function tableFault(place: TablePlace, clusterSize: number, fileSize: number): Fault | undefined {
  const fault = (code: string, errorCode: ImageErrorCode, what: string): Fault => ({
    code,
    severity: 'unsafe',
    errorCode,
    message: `The ${place.structure} ${what}`,
    structure: place.structure,
    offset: place.field,
  });
  if (place.sizeBytes > place.maxSizeBytes) {
    return fault(
      'size-bomb-table',
      'corrupt',
      `claims ${place.sizeBytes} bytes; ${place.maxSizeBytes} is the most that is accepted`,
    );
  }
  if (place.sizeBytes === 0) return undefined;
  if (place.hostOffset % clusterSize !== 0 || place.hostOffset === 0) {
    return fault(
      'corrupt-table',
      'corrupt',
      `lies at byte ${place.hostOffset}, not at the start of a cluster of its own`,
    );
  }
  if (place.hostOffset + place.sizeBytes > fileSize) {
    return fault(
      'table-outside-file',
      'truncated',
      `lies at bytes ${place.hostOffset} to ${place.hostOffset + place.sizeBytes}, but the file ends at ${fileSize}`,
    );
  }
  return undefined;
}
