import type { Finding } from '../image/finding.ts';
import type { Format } from '../image/format.ts';
import type { Expectation } from './format-names.ts';
import { expectationOf } from './format-names.ts';

/** What was found, to be held against what was said. */
export interface Detected {
  readonly format: Format;
  readonly hasIsoVolume: boolean;
}

/** `format-mismatch`, when the declared name and the file disagree. A name that nobody knows disagrees with every file. */
export function declaredFindings(
  declared: string | undefined,
  detected: Detected,
  formats: readonly Format[],
): readonly Finding[] {
  if (declared === undefined) return [];
  const expected = expectationOf(declared, formats);
  if (expected === undefined) {
    return [mismatch('unsafe', `The declared format ${JSON.stringify(declared.slice(0, 100))} is not known`)];
  }
  if (expected.format !== detected.format.name) {
    return [mismatch('unsafe', `The file was declared as ${declared}, but is ${detected.format.name}`)];
  }
  return isoFindings(declared, expected, detected);
}

function isoFindings(declared: string, expected: Expectation, detected: Detected): readonly Finding[] {
  if (expected.iso9660 && !detected.hasIsoVolume) {
    return [mismatch('unsafe', `The file was declared as ${declared}, but holds no ISO 9660 volume`)];
  }
  if (expected.format === 'raw' && !expected.iso9660 && detected.hasIsoVolume) {
    return [mismatch('warning', `The file was declared as ${declared}, but is an ISO 9660 volume`)];
  }
  return [];
}

/** `format-mismatch` of severity `info` when the file name ends like another format than the one detected. */
export function fileNameFindings(
  fileName: string | undefined,
  detected: Detected,
  formats: readonly Format[],
): readonly Finding[] {
  const extension = /\.([a-z0-9]{1,12})$/i.exec(fileName ?? '')?.[1];
  const expected = extension === undefined ? undefined : expectationOf(extension, formats);
  // An .img may be anything; only names that mean one format are held against the file.
  if (extension === undefined || expected === undefined || expected.format === 'raw') return [];
  if (expected.format === detected.format.name) return [];
  return [mismatch('info', `The file name ends in .${extension}, but the file is ${detected.format.name}`)];
}

function mismatch(severity: Finding['severity'], message: string): Finding {
  return { code: 'format-mismatch', severity, message };
}
