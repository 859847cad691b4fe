import { inspectFile, inspectPacked } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION, requireOperand } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { UNPACKING_OPTIONS, withUnpacking } from '../unpacked-source.ts';
import { verdictText } from '../verdict-text.ts';

const EXIT_BY_VERDICT = { safe: EXIT.ok, warning: EXIT.imperfect, unsafe: EXIT.bad } as const;

/** `diskmorph inspect`. */
export const inspectCommand: Command = {
  name: 'inspect',
  summary: 'Say what a file is and whether it is safe to use. Reads a bounded part of it and opens no other file.',
  operands: ['FILE'],
  notes: [
    'Of a packed file (gz, xz, zst, bz2, zip, tar, ova) the image inside is inspected.',
    'docs/findings.md explains the code of every finding.',
  ],
  options: [
    {
      long: 'declared',
      value: 'FMT',
      summary: 'What somebody says the file is; a finding tells when it is something else',
    },
    { long: 'container', summary: 'Look at a packed file as it is, not at the image inside' },
    ...UNPACKING_OPTIONS,
    { long: 'quiet', short: 'q', summary: 'Print nothing; the exit code is the answer' },
    JSON_OPTION,
  ],
  exitCodes: [
    [EXIT.ok, 'safe'],
    [EXIT.bad, 'unsafe: do not process the image'],
    [EXIT.imperfect, 'warnings: look before use'],
  ],
  examples: [
    { says: 'look at a download', line: 'diskmorph inspect download.img' },
    { says: 'it was announced as qcow2: is it?', line: 'diskmorph inspect --declared qcow2 upload.bin' },
    { says: 'in a script', line: 'diskmorph inspect --quiet disk.vmdk || echo "not safe"' },
  ],
  run: runInspect,
};

async function runInspect(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  const path = requireOperand(given, 0);
  const declared = given.text('declared');
  const options = { signal, ...(declared === undefined ? {} : { declared }) };
  const verdict = given.has('container')
    ? await inspectFile(path, options)
    : await withUnpacking({ given, context }, 'entry', (unwrap) => inspectPacked(path, { ...options, unwrap }));
  if (given.has('json')) await terminal.json({ file: path, ...verdict });
  else if (!given.has('quiet')) {
    await terminal.out(verdictText(path, verdict, { style: terminal.outStyle, width: terminal.width() }));
  }
  return EXIT_BY_VERDICT[verdict.verdict];
}
