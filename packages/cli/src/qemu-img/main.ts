import { ImageError } from '@diskmorph/disk-image';
import { HelpAsked, readCommandLine } from './arguments/given-options.ts';
import { commandList } from './command-list.ts';
import { Failure, reasonOf, usageFailure } from './failure.ts';
import { helpText, versionText } from './text/help.ts';
import { note, out } from './text/output.ts';

/** Runs the program with the arguments after its name and sets the process's exit code. Never throws. */
export async function runQemuImg(argv: readonly string[]): Promise<void> {
  try {
    process.exitCode = await dispatch(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const at = commandIndex(argv);
  const line = readCommandLine('qemu-img', argv.slice(0, at), [
    { short: 'V', long: 'version', takes: 'nothing' },
    { short: 'T', long: 'trace', takes: 'value' },
  ]);
  if (line.has('version')) {
    out(versionText());
    return 0;
  }
  const name = argv[at];
  if (name === undefined) throw usageFailure('Not enough arguments');
  if (name === 'bench') throw new Failure('bench is not there: measure with the program whose speed matters to you');
  const load = Object.hasOwn(commandList, name) ? commandList[name] : undefined;
  if (load === undefined) throw usageFailure(`Command not found: ${name}`);
  return (await load())(argv.slice(at + 1));
}

/** Options before the command are the program's own; of those only `--trace` takes a value. */
function commandIndex(argv: readonly string[]): number {
  let index = 0;
  while (argv[index]?.startsWith('-') === true) index += /^(?:-T|--tr\w*)$/.test(argv[index] ?? '') ? 2 : 1;
  return Math.min(index, argv.length);
}

function report(error: unknown): number {
  if (error instanceof HelpAsked) {
    out(helpText());
    return 0;
  }
  if (error instanceof Failure) {
    note(error.lines.map((line) => `qemu-img: ${line}\n`).join(''));
    return error.exitCode;
  }
  if (error instanceof ImageError) {
    note(`qemu-img: ${reasonOf(error)}\n`);
    return 1;
  }
  note(`qemu-img: internal error: ${error instanceof Error ? error.message : String(error)}\n`);
  if (process.env['DISKMORPH_DEBUG'] === '1' && error instanceof Error) note(`${error.stack}\n`);
  return 1;
}
