import type { GivenOptions, TargetProfile } from '@diskmorph/disk-image';
import { DEFAULT_LIMITS } from '@diskmorph/disk-image';
import type { ConversionChoices, FinishedTarget } from '@diskmorph/disk-image-node';
import { requireFormat } from '@diskmorph/disk-image-node';
import { UsageError } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { parseTargetOptions, requireOperand } from './arguments/shared-options.ts';
import { givenChecksums } from './checksum-option.ts';
import { compressionOptions } from './compression-choice.ts';
import { requireTarget } from './target-profile.ts';

/** What `convert` is to write, and for whom. */
export interface OutputRequest {
  readonly target: FinishedTarget;
  /** With `--for`. */
  readonly profile?: TargetProfile;
  /** The profile's options that `-o` or `-c` replaced: its own values. */
  readonly replaced: GivenOptions;
}

/** The one output of `-O` or `--for`, with `-o` and `-c`. Throws `UsageError`. */
export function outputRequest(given: GivenArguments): OutputRequest {
  const [, path] = given.operands;
  if (path === undefined) throw new UsageError('DST is missing');
  const profile = givenProfile(given);
  const formatName = profile?.output.format ?? given.text('output-format');
  if (formatName === undefined) throw new UsageError('-O FMT is missing: which format is the output to have?');
  const format = requireFormat(formatName);
  const compression = given.has('compress') ? compressionOptions(format, given.text('compress')) : {};
  const own = { ...compression, ...parseTargetOptions(given.all('options')) };
  const chosen = profile?.output.options ?? {};
  return {
    target: {
      path: requireOperand(given, 1),
      format: format.name,
      options: { ...chosen, ...own },
      ...(profile === undefined ? {} : finishFor(profile)),
      checksums: givenChecksums(given),
    },
    replaced: Object.fromEntries(Object.entries(chosen).filter(([key, value]) => (own[key] ?? value) !== value)),
    ...(profile === undefined ? {} : { profile }),
  };
}

/** What a target wants beside format and options. */
export function finishFor({ output }: TargetProfile): Pick<FinishedTarget, 'sizeMultiple' | 'packing' | 'dense'> {
  const { sizeMultiple, packing, dense } = output;
  return {
    ...(sizeMultiple === undefined ? {} : { sizeMultiple }),
    ...(packing === undefined ? {} : { packing }),
    ...(dense === undefined ? {} : { dense }),
  };
}

/** Throws `UsageError` for a checkpoint where the result is packed in the end. */
export function refuseCheckpoint(given: GivenArguments, profile: TargetProfile): void {
  if (profile.output.packing === undefined || !given.has('checkpoint')) return;
  throw new UsageError(`--checkpoint does not work with --for ${profile.name}, whose image is packed at the end`);
}

function givenProfile(given: GivenArguments): TargetProfile | undefined {
  const name = given.text('for');
  if (name === undefined) return undefined;
  if (given.has('output-format')) throw new UsageError('--for chooses the format; leave -O away');
  const profile = requireTarget(name);
  refuseCheckpoint(given, profile);
  return profile;
}

function reflinkChoice(given = 'auto'): 'auto' | 'never' {
  if (given === 'auto' || given === 'never') return given;
  throw new UsageError(`--reflink is auto or never, not ${given}`);
}

/** How it is to be done, as far as the command line says. */
export function conversionChoices(given: GivenArguments): ConversionChoices {
  const checkpoint = given.text('checkpoint');
  return {
    verify: !given.has('no-verify'),
    digest: !given.has('no-digest'),
    overwrite: given.has('force'),
    reflink: reflinkChoice(given.text('reflink')),
    ...(given.all('allow').includes('size-bomb-ratio') ? {} : { maxDataRatio: DEFAULT_LIMITS.maxDataRatio }),
    ...(checkpoint === undefined ? {} : { checkpoint: { path: checkpoint } }),
  };
}
