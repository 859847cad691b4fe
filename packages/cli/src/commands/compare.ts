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
import type { SourceImage } from '../source-image.ts';
import { formatText, givenPath, sourceFacts } from '../source-image.ts';
import { exactSizeText } from '../terminal/size-text.ts';
import { PACKED_OPTIONS, withImage } from '../unpacked-source.ts';
import { withProgress } from '../work-options.ts';

const OTHER_FORMAT = 'other-format';
const OTHER_ENTRY = 'other-entry';

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
    { long: OTHER_FORMAT, short: 'F', value: 'FMT', summary: 'Format of B; detected when it is not given' },
    { long: 'strict', short: 's', summary: 'Disks of different sizes are different' },
    REFERENCES_OPTION,
    ...PACKED_OPTIONS,
    { long: OTHER_ENTRY, value: 'NAME', summary: 'The same for B as --entry for A' },
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

function runCompare(given: GivenArguments, context: CommandContext): Promise<number> {
  const about = { given, context };
  const other = { path: requireOperand(given, 1), formatOption: OTHER_FORMAT, entryOption: OTHER_ENTRY };
  return withImage({ path: requireOperand(given, 0) }, about, (first) =>
    withImage(other, about, (second) => compareSources(first, second, about)),
  );
}

async function compareSources(
  first: SourceImage,
  second: SourceImage,
  { given, context }: { readonly given: GivenArguments; readonly context: CommandContext },
): Promise<number> {
  const { terminal } = context;
  const result = await withProgress(given, context, (how) => compareFiles(first.file, second.file, how));
  const equal = result.equal && !(given.has('strict') && result.sizes[0] !== result.sizes[1]);
  if (given.has('json')) {
    const files = [comparedFile(first), comparedFile(second)];
    await terminal.json({ ...result, equal, firstDifference: result.firstDifference ?? null, files });
  } else if (!given.has('quiet')) {
    const names = [first, second].map((source) => `${givenPath(source)}: ${formatText(source)}`);
    await terminal.out(`${names.join('\n')}\n${comparisonText(result, equal)}\n`);
  }
  return equal ? EXIT.ok : EXIT.different;
}

function comparedFile(source: SourceImage): object {
  const { file: path, ...facts } = sourceFacts(source);
  return { path, ...facts };
}

function comparisonText(result: Comparison, equal: boolean): string {
  const [first, second] = result.sizes;
  const sizes = first === second ? '' : `\nTheir sizes: ${exactSizeText(first)} and ${exactSizeText(second)}.`;
  const offset = result.firstDifference;
  if (offset !== undefined) return `The disks differ, first at byte ${offset} (0x${offset.toString(16)}).${sizes}`;
  if (!equal) return `The disks have different sizes.${sizes}`;
  return first === second ? 'The disks are the same.' : `The disks are the same but for their sizes.${sizes}`;
}
