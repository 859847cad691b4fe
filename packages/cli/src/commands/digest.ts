import { digestFile } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import {
  FORMAT_OPTION,
  JSON_OPTION,
  REFERENCES_OPTION,
  requireOperand,
  SNAPSHOT_OPTION,
  WORK_OPTIONS,
} from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { sourceImage } from '../source-image.ts';
import { withProgress } from '../work-options.ts';

/** `diskmorph digest`. */
export const digestCommand: Command = {
  name: 'digest',
  summary: 'Print the content id of an image: the same for the same disk, whatever the format and its options.',
  operands: ['FILE'],
  notes: ['docs/content-id.md says how it is computed, so that other programs can compute it too.'],
  options: [FORMAT_OPTION, SNAPSHOT_OPTION, REFERENCES_OPTION, ...WORK_OPTIONS, JSON_OPTION],
  examples: [{ says: 'one line: the id, two spaces, the file', line: 'diskmorph digest disk.qcow2' }],
  run: runDigest,
};

async function runDigest(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const { file, detected } = await sourceImage(requireOperand(given, 0), given);
  const digest = await withProgress(given, context, (how) => digestFile(file, how));
  if (given.has('json')) await terminal.json({ file: file.path, format: file.format, detected, ...digest });
  else await terminal.out(`${digest.contentId}  ${file.path}\n`);
  return EXIT.ok;
}
