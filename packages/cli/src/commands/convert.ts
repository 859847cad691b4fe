import { dirname } from 'node:path';
import type { Verdict } from '@diskmorph/disk-image';
import type { TargetFileRequest } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import {
  FORMAT_OPTION,
  JSON_OPTION,
  REFERENCES_OPTION,
  requireOperand,
  SNAPSHOT_OPTION,
  WORK_OPTIONS,
} from '../arguments/shared-options.ts';
import { convertForTarget } from '../convert-for-target.ts';
import { convertToOne } from '../convert-to-one.ts';
import { convertToSeveral } from '../convert-to-several.ts';
import { warningText } from '../conversion-text.ts';
import { EXIT } from '../exit-code.ts';
import { conversionChoices, outputRequest, refuseCheckpoint } from '../output-request.ts';
import { passSafetyGate } from '../safety-gate.ts';
import type { SeveralOutput } from '../several-outputs.ts';
import { areSeveral, severalOutputs } from '../several-outputs.ts';
import type { SourceImage } from '../source-image.ts';
import { CHECKSUM_OPTION, givenChecksums } from '../checksum-option.ts';
import { TARGET_OPTION } from '../target-profile.ts';
import { checkTargetPath } from '../target-path.ts';
import { ENTRY_OPTION, UNPACK_DIR_OPTION, unpackedSource } from '../unpacked-source.ts';

/** `diskmorph convert`. */
export const convertCommand: Command = {
  name: 'convert',
  summary: 'Convert an image to another format, and verify the result by reading it back.',
  operands: ['SRC', 'DST'],
  optionalOperands: 1,
  notes: [
    'SRC is inspected first; what is not safe to use is refused with the reasons. DST appears under its name when it is complete and verified, not before. A failed or cancelled conversion leaves nothing behind.',
    'SRC may be packed (gz, xz, zst, bz2, zip, tar, ova): the image inside is converted. -f raw takes the bytes as they are.',
    'With --to, or several --for, there is no DST: every output is written from one read of SRC, beside SRC unless its PATH is given, and listed with its SHA-256.',
  ],
  options: [
    { ...FORMAT_OPTION, summary: 'Format of SRC. Detected by its signature when it is not given, and then named' },
    { long: 'output-format', short: 'O', value: 'FMT', summary: 'Format of DST' },
    {
      ...TARGET_OPTION,
      value: 'TARGET[=PATH]',
      repeatable: true,
      summary:
        'Write what TARGET takes, instead of -O; -o still replaces single options. "diskmorph targets" lists the targets. Given with --to, or several times, one of several outputs',
    },
    {
      long: 'to',
      value: 'FMT[:SUBFORMAT][,KEY=VALUE...][=PATH]',
      repeatable: true,
      summary: 'One of several outputs, instead of -O and DST',
    },
    {
      long: 'options',
      short: 'o',
      value: 'KEY=VALUE,...',
      repeatable: true,
      summary: 'Options of the output format; "diskmorph formats FMT" lists them',
    },
    {
      long: 'compress',
      short: 'c',
      value: 'zlib|zstd',
      valueIsOptional: true,
      summary: 'Compress the output: qcow2 by zlib or zstd, vmdk by becoming streamOptimized',
    },
    { long: 'force', summary: 'Replace DST when it exists' },
    CHECKSUM_OPTION,
    { long: 'no-verify', summary: 'Do not read the result back' },
    { long: 'no-digest', summary: 'With --no-verify: do not compute the content id either' },
    {
      long: 'reflink',
      value: 'auto|never',
      summary:
        'auto: share blocks on disk with SRC where the file system can, so that nothing is copied (the default). never: DST has its own',
    },
    ENTRY_OPTION,
    {
      ...UNPACK_DIR_OPTION,
      summary: 'Where a compressed SRC is unpacked for the time of the command; beside DST when it is not given',
    },
    SNAPSHOT_OPTION,
    REFERENCES_OPTION,
    {
      long: 'allow',
      value: 'CODE',
      repeatable: true,
      summary:
        'Go on in spite of this finding of the inspection, such as size-bomb-virtual, or of this rule of the target',
    },
    {
      long: 'checkpoint',
      value: 'DIR',
      summary:
        'Grow the target in DIR, which must be on the file system of DST. The same command goes on from there after a crash',
    },
    { long: 'plan', summary: 'Show what would be done; write nothing' },
    ...WORK_OPTIONS,
    JSON_OPTION,
  ],
  examples: [
    { says: 'the shortest way', line: 'diskmorph convert -O qcow2 disk.vmdk disk.qcow2' },
    { says: 'small, and quick to unpack', line: 'diskmorph convert -O qcow2 --compress=zstd disk.raw disk.qcow2' },
    {
      says: 'for VMware and OVF',
      line: 'diskmorph convert -f qcow2 -O vmdk -o subformat=streamOptimized disk.qcow2 disk.vmdk',
    },
    {
      says: 'with what an image service wants to know',
      line: 'diskmorph convert -O raw --checksum sha512 disk.qcow2 disk.raw',
    },
    { says: 'ready to upload to a cloud', line: 'diskmorph convert --for azure disk.qcow2 disk.vhd' },
    {
      says: 'several at once',
      line: 'diskmorph convert disk.qcow2 --to raw --to vmdk:streamOptimized --to vhd:fixed=azure/disk.vhd',
    },
    {
      says: 'for several clouds from one read',
      line: 'diskmorph convert disk.qcow2 --for azure --for aws --for gcp=upload/disk.tar.gz',
    },
    {
      says: 'an overlay together with the images it stands on',
      line: 'diskmorph convert -f qcow2 -O raw --allow-references . overlay.qcow2 disk.raw',
    },
    {
      says: 'large, and to be resumed after a crash',
      line: 'diskmorph convert -O raw --checkpoint work huge.qcow2 huge.raw',
    },
  ],
  exitCodes: [
    [EXIT.ok, 'written'],
    [EXIT.bad, 'with --for: written, but an option made it something that the target refuses'],
  ],
  afterCancel: (given) =>
    given.has('checkpoint') && !given.has('plan')
      ? `the same command goes on from ${given.text('checkpoint')}`
      : undefined,
  run: runConvert,
};

async function runConvert(given: GivenArguments, context: CommandContext): Promise<number> {
  const choices = { ...conversionChoices(given), signal: context.signal };
  const sourcePath = requireOperand(given, 0);
  if (given.has('to') || areSeveral(given.all(TARGET_OPTION.long))) {
    const outputs = requestedOutputs(given, sourcePath);
    const targets = outputs.map(({ target }) => target);
    return withSource(sourcePath, targets, { given, context }, (source) =>
      convertToSeveral({ ...choices, source: source.source.file, outputs }, { ...source, given, context }),
    );
  }
  const output = outputRequest(given);
  return withSource(sourcePath, [output.target], { given, context }, (source) => {
    const conversion = { ...choices, source: source.source.file, target: output.target };
    const work = { ...source, given, context };
    return output.profile === undefined
      ? convertToOne(conversion, work)
      : convertForTarget(conversion, { ...work, profile: output.profile, replaced: output.replaced });
  });
}

function requestedOutputs(given: GivenArguments, sourcePath: string): readonly SeveralOutput[] {
  const misplaced = ['output-format', 'options', 'compress'].find((name) => given.has(name));
  if (misplaced !== undefined) {
    throw new UsageError(`--to and --for say everything about several outputs; leave --${misplaced} away`);
  }
  const [, extra] = given.operands;
  if (extra !== undefined) {
    throw new UsageError(`"${extra}" is one argument too many: paths of several outputs stand behind "="`);
  }
  const checksums = given.has('checksum') ? givenChecksums(given) : (['sha256'] as const);
  const [formats, targets] = [given.all('to'), given.all(TARGET_OPTION.long)];
  const outputs = severalOutputs({ formats, targets, sourcePath, checksums });
  for (const { profile } of outputs) if (profile !== undefined) refuseCheckpoint(given, profile);
  return outputs;
}

interface OpenedSource {
  readonly source: SourceImage;
  readonly verdict: Verdict;
}

/** Gives `work` the source when its targets may be written; what was unpacked for it is gone afterwards. */
async function withSource(
  sourcePath: string,
  targets: readonly TargetFileRequest[],
  about: { readonly given: GivenArguments; readonly context: CommandContext },
  work: (source: OpenedSource) => Promise<number>,
): Promise<number> {
  for (const { path } of targets) await checkTargetPath(sourcePath, path, about.given.has('force'));
  const { given } = about;
  const checkpoint = given.has('plan') ? undefined : given.text('checkpoint');
  const { source, cleanup } = await unpackedSource(
    checkpoint === undefined
      ? { path: sourcePath, directory: dirname(targets[0]?.path ?? sourcePath) }
      : { path: sourcePath, directory: checkpoint, lasting: true },
    about,
  );
  // What is gone on from later needs what was unpacked.
  let isNeeded = false;
  try {
    const verdict = await passedVerdict(source, about);
    isNeeded = checkpoint !== undefined;
    const code = await work({ source, verdict });
    isNeeded = false;
    return code;
  } finally {
    if (!isNeeded) await cleanup();
  }
}

/** The verdict on a source about which nothing is unsafe; its warnings are shown. */
async function passedVerdict(
  source: SourceImage,
  { given, context }: { readonly given: GivenArguments; readonly context: CommandContext },
): Promise<Verdict> {
  const allowed = { codes: given.all('allow'), signal: context.signal };
  const verdict = await passSafetyGate(source, allowed, context.terminal);
  const isSilent = given.has('plan') || given.has('quiet') || given.has('json') || given.text('progress') === 'json';
  if (!isSilent) {
    for (const finding of verdict.findings) context.terminal.note(warningText(finding, context.terminal.noteStyle));
  }
  return verdict;
}
