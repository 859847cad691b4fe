import { compareFiles } from '@diskmorph/disk-image-node';
import type { Comparison } from '@diskmorph/disk-image';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import {
  FORMAT_OPTION,
  JSON_OPTION,
  REFERENCES_OPTION,
  requireOperand,
  WORK_OPTIONS,
} from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { formatText, sourceImage } from '../source-image.ts';
import { exactSizeText } from '../terminal/size-text.ts';
import { withProgress } from '../work-options.ts';

/** `diskmorph compare`. */
export const compareCommand: Command = {
  name: 'compare',
  summary: 'Say whether two images hold the same disk, byte for byte, in whatever formats.',
  operands: ['A', 'B'],
  notes: [
    'Disks of different sizes are the same when the longer one has only zeros behind the end of the shorter one.',
  ],
  options: [
    { ...FORMAT_OPTION, summary: 'Format of A; detected when it is not given' },
    { long: 'other-format', short: 'F', value: 'FMT', summary: 'Format of B; detected when it is not given' },
    { long: 'strict', short: 's', summary: 'Disks of different sizes are different' },
    REFERENCES_OPTION,
    ...WORK_OPTIONS,
    JSON_OPTION,
  ],
  exitCodes: [
    [EXIT.ok, 'the same'],
    [EXIT.different, 'different'],
  ],
  examples: [{ says: 'is the copy good?', line: 'diskmorph compare disk.vmdk disk.qcow2' }],
  run: runCompare,
};

async function runCompare(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const first = await sourceImage(requireOperand(given, 0), given);
  const second = await sourceImage(requireOperand(given, 1), given, 'other-format');
  const result = await withProgress(given, context, (how) => compareFiles(first.file, second.file, how));
  const equal = result.equal && !(given.has('strict') && result.sizes[0] !== result.sizes[1]);
  if (given.has('json')) {
    const files = [first, second].map(({ file: { path, format }, detected }) => ({ path, format, detected }));
    await terminal.json({ ...result, equal, firstDifference: result.firstDifference ?? null, files });
  } else if (!given.has('quiet')) {
    const names = [first, second].map((source) => `${source.file.path}: ${formatText(source)}`);
    await terminal.out(`${names.join('\n')}\n${comparisonText(result, equal)}\n`);
  }
  return equal ? EXIT.ok : EXIT.different;
}

function comparisonText(result: Comparison, equal: boolean): string {
  const [first, second] = result.sizes;
  const sizes = first === second ? '' : `\nTheir sizes: ${exactSizeText(first)} and ${exactSizeText(second)}.`;
  const offset = result.firstDifference;
  if (offset !== undefined) return `The disks differ, first at byte ${offset} (0x${offset.toString(16)}).${sizes}`;
  if (!equal) return `The disks have different sizes.${sizes}`;
  return first === second ? 'The disks are the same.' : `The disks are the same but for their sizes.${sizes}`;
}
