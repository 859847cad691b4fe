import { encrypted, incomplete, packedOtherThan, unsound } from './breach.ts';
import type { TargetRule } from './profile.ts';

/** What every target wants: a whole, undamaged image in one file. */
export const WHOLE_IMAGE: readonly TargetRule[] = [
  {
    id: 'sound',
    severity: 'refusal',
    about: 'file',
    sentence: 'A damaged or contradictory image is not worth an upload.',
    mend: 'Run "diskmorph inspect FILE" and take a good copy.',
    sources: ['docs/findings.md'],
    breach: unsound,
  },
  {
    id: 'self-contained',
    severity: 'refusal',
    about: 'file',
    sentence: 'The file that is uploaded must hold the whole disk.',
    mend: 'Convert it where the other files are, with --allow-references DIR.',
    sources: ['docs/findings.md, "Other files"'],
    breach: incomplete,
  },
];

/** For targets that take some containers, or none. */
export function unpacked(sources: readonly string[], ...accepted: readonly string[]): TargetRule {
  return {
    id: 'unpacked',
    severity: 'refusal',
    about: 'packing',
    sentence:
      accepted.length === 0
        ? 'The target takes images that are not packed.'
        : `The target unpacks ${accepted.join(', ')} and nothing else.`,
    mend: 'Unpack it first.',
    sources,
    breach: packedOtherThan(...accepted),
  };
}

/** For targets that say so. */
export function unencrypted(sources: readonly string[]): TargetRule {
  return {
    id: 'unencrypted',
    severity: 'refusal',
    about: 'disk',
    sentence: 'The guest bytes must not be encrypted by the image format.',
    mend: 'Decrypt the image with the program that made it.',
    sources,
    breach: encrypted,
  };
}
