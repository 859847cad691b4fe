import type { Command } from './arguments/command.ts';
import { UsageError } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { parseArguments } from './arguments/given-arguments.ts';
import { commandHelp, programHelp } from './arguments/help.ts';
import { nearestName } from './arguments/nearest-name.ts';
import { listenForCancel } from './cancellation.ts';
import { allCommands, commandGroups } from './command-list.ts';
import { EXIT, EXIT_BY_SIGNAL } from './exit-code.ts';
import { describeFailure, failureText } from './failure.ts';
import { programVersion } from './program-version.ts';
import type { Terminal } from './terminal/terminal.ts';
import { processTerminal } from './terminal/terminal.ts';

/** Exit code of a program whose reader went away, as the shell shows SIGPIPE. */
const READER_GONE = 141;

/** Runs the program with the arguments after its name and sets the process's exit code. Never throws. */
export async function runDiskmorph(argv: readonly string[]): Promise<void> {
  const terminal = processTerminal();
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) =>
      process.exit(error.code === 'EPIPE' ? READER_GONE : EXIT.internal),
    );
  }
  process.exitCode = await dispatch(argv, terminal);
}

async function dispatch(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [first, ...rest] = argv;
  try {
    if (first === undefined) {
      terminal.note(programHelp(commandGroups, { style: terminal.noteStyle, width: terminal.width() }));
      return EXIT.usage;
    }
    if (first === '--version' || first === '-V') return await showVersion(terminal);
    if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
      await terminal.out(programHelp(commandGroups, { style: terminal.outStyle, width: terminal.width() }));
      return EXIT.ok;
    }
    if (first === 'help') return await runCommand(await loadCommand(rest[0] ?? ''), ['--help'], terminal);
    return await runCommand(await loadCommand(first), rest, terminal);
  } catch (error) {
    return await reportFailure(error, { terminal, asJson: false });
  }
}

async function showVersion(terminal: Terminal): Promise<number> {
  await terminal.out(`diskmorph ${programVersion()}\n`);
  return EXIT.ok;
}

async function loadCommand(name: string): Promise<Command> {
  const listed = allCommands.find((command) => command.name === name);
  if (listed !== undefined) return listed.load();
  const near = nearestName(
    name,
    allCommands.map((command) => command.name),
  );
  const what = name.startsWith('-') ? `There is no option ${name} before a command` : `There is no command "${name}"`;
  throw new UsageError(`${what}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

async function runCommand(command: Command, line: readonly string[], terminal: Terminal): Promise<number> {
  let given: GivenArguments;
  try {
    given = parseArguments(command, line);
  } catch (error) {
    return reportFailure(error, { terminal, asJson: line.includes('--json'), commandName: command.name });
  }
  if (given.has('help')) {
    await terminal.out(commandHelp(command, { style: terminal.outStyle, width: terminal.width() }));
    return EXIT.ok;
  }
  const cancellation = listenForCancel(() => performance.now());
  try {
    return await command.run(given, { terminal, signal: cancellation.signal });
  } catch (error) {
    const cause = cancellation.cause();
    const report = { terminal, asJson: given.has('json'), commandName: command.name };
    if (cause === undefined) return await reportFailure(error, report);
    return await reportCancel(EXIT_BY_SIGNAL[cause], command.afterCancel?.(given), report);
  } finally {
    cancellation.release();
  }
}

interface ReportContext {
  readonly terminal: Terminal;
  readonly asJson: boolean;
  readonly commandName?: string;
}

async function reportFailure(error: unknown, { terminal, asJson, commandName }: ReportContext): Promise<number> {
  const failure = describeFailure(error, commandName);
  if (asJson && !terminal.hasResult()) await terminal.json({ error: failure });
  terminal.note(failureText(failure, terminal.noteStyle));
  if (process.env['DISKMORPH_DEBUG'] === '1') {
    const { inspect } = await import('node:util');
    terminal.note(`${inspect(error)}\n`);
  }
  return failure.exitCode;
}

async function reportCancel(exitCode: number, left: string | undefined, context: ReportContext): Promise<number> {
  const { terminal, asJson } = context;
  const message = `cancelled; ${left ?? 'nothing was left behind'}`;
  if (asJson && !terminal.hasResult()) await terminal.json({ error: { code: 'aborted', message, exitCode } });
  terminal.note(`${terminal.noteStyle.yellow('diskmorph:')} ${message} ${terminal.noteStyle.dim('[aborted]')}\n`);
  return exitCode;
}
