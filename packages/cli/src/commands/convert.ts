import { EXIT } from '../exit-code.ts';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import {
  FORMAT_OPTION,
  JSON_OPTION,
  parseTargetOptions,
  REFERENCES_OPTION,
  requireOperand,
  SNAPSHOT_OPTION,
  WORK_OPTIONS,
} from '../arguments/shared-options.ts';
import type { Verdict } from '@diskmorph/disk-image';
import type { ConversionReport, FileConversion } from '@diskmorph/disk-image-node';
import { convertFile, planFileConversion, requireFormat } from '@diskmorph/disk-image-node';
import { compressionOptions } from '../compression-choice.ts';
import { planText, reportText, warningText } from '../conversion-text.ts';
import { passSafetyGate } from '../safety-gate.ts';
import type { SourceImage } from '../source-image.ts';
import { sourceImage } from '../source-image.ts';
import { checkTargetPath } from '../target-path.ts';
import { withProgress } from '../work-options.ts';

/** `diskmorph convert`. */
export const convertCommand: Command = {
  name: 'convert',
  summary: 'Convert an image to another format, and verify the result by reading it back.',
  operands: ['SRC', 'DST'],
  notes: [
    'SRC is inspected first; what is not safe to use is refused with the reasons. DST appears under its name when it is complete and verified, not before. A failed or cancelled conversion leaves nothing behind.',
  ],
  options: [
    { ...FORMAT_OPTION, summary: 'Format of SRC. Detected by its signature when it is not given, and then named' },
    { long: 'output-format', short: 'O', value: 'FMT', summary: 'Format of DST' },
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
    { long: 'no-verify', summary: 'Do not read the result back' },
    { long: 'no-digest', summary: 'With --no-verify: do not compute the content id either' },
    SNAPSHOT_OPTION,
    REFERENCES_OPTION,
    {
      long: 'allow',
      value: 'CODE',
      repeatable: true,
      summary: 'Go on in spite of this finding of the inspection, such as size-bomb-virtual',
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
      says: 'an overlay together with the images it stands on',
      line: 'diskmorph convert -f qcow2 -O raw --allow-references . overlay.qcow2 disk.raw',
    },
    {
      says: 'large, and to be resumed after a crash',
      line: 'diskmorph convert -O raw --checkpoint work huge.qcow2 huge.raw',
    },
  ],
  afterCancel: (given) =>
    given.has('checkpoint') && !given.has('plan')
      ? `the same command goes on from ${given.text('checkpoint')}`
      : undefined,
  run: runConvert,
};

async function runConvert(given: GivenArguments, context: CommandContext): Promise<number> {
  const request = await makeRequest(given);
  const source = await sourceImage(requireOperand(given, 0), given);
  await checkTargetPath(source.file.path, request.target.path, given.has('force'));
  const allowed = { codes: given.all('allow'), signal: context.signal };
  const verdict = await passSafetyGate(source, allowed, context.terminal);
  const conversion: FileConversion = { ...request, source: source.file, signal: context.signal };
  if (given.has('plan')) return showPlan(conversion, given, context);
  if (!given.has('quiet') && !given.has('json') && given.text('progress') !== 'json') {
    for (const finding of verdict.findings) context.terminal.note(warningText(finding, context.terminal.noteStyle));
  }
  const report = await withProgress(given, context, (how) => convertFile({ ...conversion, ...how }));
  await showReport(report, { source, verdict, given }, context);
  return EXIT.ok;
}

/** Everything that can be judged from the command line alone. */
async function makeRequest(given: GivenArguments): Promise<Omit<FileConversion, 'source'>> {
  const formatName = given.text('output-format');
  if (formatName === undefined) throw new UsageError('-O FMT is missing: which format is the output to have?');
  const format = requireFormat(formatName);
  const options = parseTargetOptions(given.all('options'));
  const compression = given.has('compress') ? compressionOptions(format, given.text('compress')) : {};
  const checkpoint = given.text('checkpoint');
  return {
    target: { path: requireOperand(given, 1), format: format.name, options: { ...compression, ...options } },
    verify: !given.has('no-verify'),
    digest: !given.has('no-digest'),
    overwrite: given.has('force'),
    ...(checkpoint === undefined ? {} : { checkpoint: { path: checkpoint } }),
  };
}

async function showPlan(conversion: FileConversion, given: GivenArguments, context: CommandContext): Promise<number> {
  const plan = await planFileConversion(conversion);
  if (given.has('json')) await context.terminal.json(plan);
  else await context.terminal.out(planText(plan, conversion.target.path, context.terminal.outStyle));
  return EXIT.ok;
}

async function showReport(
  report: ConversionReport,
  {
    source,
    verdict,
    given,
  }: { readonly source: SourceImage; readonly verdict: Verdict; readonly given: GivenArguments },
  { terminal }: CommandContext,
): Promise<void> {
  if (given.has('json')) {
    const { path, format } = source.file;
    await terminal.json({ source: { path, format, detected: source.detected }, findings: verdict.findings, ...report });
  } else if (!given.has('quiet')) {
    await terminal.out(reportText(report, source, terminal.outStyle));
  }
}
