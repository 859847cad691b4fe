import type { ImageErrorCode } from '../errors.ts';
import { ImageError } from '../errors.ts';
import type { Finding } from './finding.ts';
import type { FormatName } from './format-name.ts';

/** What `open` throws for what `examine` found; `corrupt` for codes that are not here. */
const ERROR_OF_FINDING: Readonly<Record<string, ImageErrorCode>> = {
  encrypted: 'unsupported',
  'unknown-feature': 'unsupported',
  'unsupported-subformat': 'unsupported',
  'differencing-parent': 'unsupported',
  'foreign-extent': 'unsupported',
  'size-bomb-table': 'unsafe',
  'table-outside-file': 'truncated',
  truncated: 'truncated',
};

/**
 * For formats that open only what examines well: throws for the first finding of severity `unsafe`, with its message and
 * place. A backing file is no reason to refuse: the chain asks the policy for it.
 */
export function refuseUnsafe(format: FormatName, findings: readonly Finding[]): void {
  const found = findings.find(({ code, severity }) => severity === 'unsafe' && code !== 'backing-file');
  if (found === undefined) return;
  throw new ImageError(ERROR_OF_FINDING[found.code] ?? 'corrupt', found.message, {
    format,
    structure: found.code,
    ...(found.offset === undefined ? {} : { offset: found.offset }),
  });
}
