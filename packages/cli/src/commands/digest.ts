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
import { sourceFacts } from '../source-image.ts';
import { PACKED_OPTIONS, withImage } from '../unpacked-source.ts';
import { withProgress } from '../work-options.ts';

/** `diskmorph digest`. */
export const digestCommand: Command = {
  name: 'digest',
  summary: 'Print the content id of an image: the same for the same disk, whatever the format and its options.',
  operands: ['FILE'],
  notes: ['docs/content-id.md says how it is computed, so that other programs can compute it too.'],
  options: [FORMAT_OPTION, SNAPSHOT_OPTION, REFERENCES_OPTION, ...PACKED_OPTIONS, ...WORK_OPTIONS, JSON_OPTION],
  examples: [{ says: 'one line: the id, two spaces, the file', line: 'diskmorph digest disk.qcow2' }],
  run: runDigest,
};

async function runDigest(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const path = requireOperand(given, 0);
  return withImage({ path }, { given, context }, async (source) => {
    const digest = await withProgress(given, context, (how) => digestFile(source.file, how));
    if (given.has('json')) await terminal.json({ ...sourceFacts(source), ...digest });
    else await terminal.out(`${digest.contentId}  ${path}\n`);
    return EXIT.ok;
  });
}
