import { lintFile } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION, requireOperand } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { lintText } from '../lint-text.ts';
import { requireTarget, TARGET_OPTION } from '../target-profile.ts';
import { UNPACKING_OPTIONS, withUnpacking } from '../unpacked-source.ts';

const EXIT_BY_VERDICT = { accepted: EXIT.ok, warning: EXIT.imperfect, refused: EXIT.bad } as const;

/** `diskmorph lint`. */
export const lintCommand: Command = {
  name: 'lint',
  summary: 'Say before an upload what a target will refuse, why, and how to mend it. Asks no server.',
  operands: ['FILE'],
  notes: ['docs/targets.md has the rules of every target with their sources.'],
  options: [
    TARGET_OPTION,
    ...UNPACKING_OPTIONS,
    { long: 'quiet', short: 'q', summary: 'Print nothing; the exit code is the answer' },
    JSON_OPTION,
  ],
  exitCodes: [
    [EXIT.ok, 'nothing found that the target would refuse'],
    [EXIT.bad, 'the target refuses it'],
    [EXIT.imperfect, 'warnings: some releases refuse it, or it has a drawback'],
  ],
  examples: [
    { says: 'will Azure take it?', line: 'diskmorph lint --for azure disk.vhd' },
    { says: 'in a script', line: 'diskmorph lint --quiet --for esxi disk.vmdk && govc import.vmdk disk.vmdk' },
  ],
  run: runLint,
};

async function runLint(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  const name = given.text('for');
  if (name === undefined) throw new UsageError('--for TARGET is missing: where is the image to go?');
  const profile = requireTarget(name);
  const path = requireOperand(given, 0);
  const { lint, inspection } = await withUnpacking({ given, context }, 'entry', (unwrap) =>
    lintFile(path, profile, { signal, unwrap }),
  );
  if (given.has('json')) {
    const { format, subformat, virtualSize, fileSize, packed } = inspection;
    await terminal.json({ file: path, format, subformat, virtualSize, fileSize, packed, ...lint });
  } else if (!given.has('quiet')) {
    await terminal.out(lintText(path, profile, lint, { style: terminal.outStyle, width: terminal.width() }));
  }
  return EXIT_BY_VERDICT[lint.verdict];
}
