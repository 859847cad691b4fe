import type { ChecksumName } from '@diskmorph/disk-image-node';
import { checksumNames } from '@diskmorph/disk-image-node';
import type { OptionSpec } from './arguments/command.ts';
import { UsageError } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';

/** `--checksum`, which may be given several times. */
export const CHECKSUM_OPTION: OptionSpec = {
  long: 'checksum',
  value: checksumNames.join('|'),
  repeatable: true,
  summary: 'Compute this over the bytes of what is written; of raw disks beside the conversion',
};

/** What was asked for, each once. Throws `UsageError`. */
export function givenChecksums(given: GivenArguments): readonly ChecksumName[] {
  const names = new Set<ChecksumName>();
  for (const text of given.all('checksum')) {
    const name = checksumNames.find((known) => known === text);
    if (name === undefined) throw new UsageError(`--checksum ${text}: there are ${checksumNames.join(', ')}`);
    names.add(name);
  }
  return [...names];
}
