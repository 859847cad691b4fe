import type { Finding } from '@diskmorph/disk-image';

const TRUST_REFERENCES = 'If you trust the image: --allow-references DIR, where DIR holds the named files.';
const COPY_AGAIN = 'Copy or download the file again and compare the sizes.';
const FRESH_COPY = 'Take a fresh copy of the image; do not use this one.';
const NAME_FORMAT = 'Name the true format with -f or --declared, or ask who made the file.';
const LOOK_AT_SIZE = 'Make sure that this much space is expected before you convert or run it.';

/** What to do about a finding, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  'backing-file': TRUST_REFERENCES,
  'data-file': TRUST_REFERENCES,
  'foreign-extent': TRUST_REFERENCES,
  'differencing-parent': TRUST_REFERENCES,
  'unsafe-extent-name': 'Do not use the image: it points out of its own directory.',
  truncated: COPY_AGAIN,
  'table-outside-file': COPY_AGAIN,
  'size-mismatch': COPY_AGAIN,
  'text-mode-damage': 'The file was copied as text. Copy it again in binary mode.',
  'corrupt-table': FRESH_COPY,
  'overlapping-tables': FRESH_COPY,
  'overlapping-grains': FRESH_COPY,
  'shared-grains': FRESH_COPY,
  'header-inconsistent': FRESH_COPY,
  'contradictory-header': FRESH_COPY,
  'checksum-mismatch': FRESH_COPY,
  'unreadable-header': FRESH_COPY,
  'missing-descriptor': FRESH_COPY,
  'no-extents': FRESH_COPY,
  'bad-grain-size': FRESH_COPY,
  'zero-capacity': FRESH_COPY,
  'copied-flag': FRESH_COPY,
  'redundant-directory-differs': FRESH_COPY,
  'leaked-cluster': 'Converting the image leaves the unused space behind.',
  'format-mismatch': NAME_FORMAT,
  'several-formats': 'Programs may disagree on what this file is. Use it only if you made it so.',
  'nested-format':
    'The disk itself holds an image. Convert the inner image, or make sure that nobody guesses its format.',
  encrypted: 'Decrypt the image with the program that made it, then convert it.',
  'size-bomb-table': 'Do not use the image: no real disk needs a table of this size.',
  'size-bomb-virtual': LOOK_AT_SIZE,
  'size-bomb-ratio': LOOK_AT_SIZE,
  wrapped: 'Unpack it and inspect what is inside; convert takes gz, xz, zst, bz2, zip, tar and ova as they are.',
  dirty: 'If the machine that used it is still running, stop it first; else this is harmless for reading.',
  'corrupt-flag': 'Run "diskmorph check FILE" and compare the content with a good copy.',
  'empty-file': COPY_AGAIN,
  'partition-table-damaged': 'A disk without a valid table may not boot; compare it with the original.',
  'partition-outside-disk': 'The disk may have been cut off; compare its size with the original.',
  'partition-overlap': 'Writing to one partition may damage another.',
  'hybrid-partition-table': 'Make sure that every system that uses the disk reads the same table.',
  'unsupported-version': 'Convert it with the program that made it to a version listed by "diskmorph formats".',
  'unsupported-subformat': 'Convert it with the program that made it to a kind listed by "diskmorph formats".',
  'unsupported-compression': 'Convert it with the program that made it.',
  'unknown-feature': 'It needs a newer program than this one: convert it with the program that made it.',
  'bitmaps-inconsistent': 'Incremental backups that rely on these bitmaps must start anew.',
};

/** What to do about the finding; nothing for those that only inform. */
export function findingAdvice(finding: Finding): string | undefined {
  return finding.severity === 'info' ? undefined : ADVICE[finding.code];
}
