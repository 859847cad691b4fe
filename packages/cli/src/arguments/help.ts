import type { Style } from '../terminal/style.ts';
import { wrapText } from '../terminal/text-layout.ts';
import type { Command, OptionSpec } from './command.ts';
import { HELP_OPTION } from './given-arguments.ts';

/** How help is to look. */
export interface HelpPage {
  readonly style: Style;
  /** Columns of the terminal. */
  readonly width: number;
}

/** The help of the whole program: what it is, every command in a line. */
export function programHelp(groups: readonly CommandGroup[], page: HelpPage): string {
  const { style } = page;
  const widest = Math.max(...groups.flatMap((group) => group.commands.map((command) => command.name.length)));
  const lines = ['diskmorph reads, checks, compares and converts disk images.', ''];
  lines.push(`${style.bold('Usage:')} diskmorph COMMAND [OPTIONS] ARGUMENTS`, '');
  for (const group of groups) {
    lines.push(style.bold(`${group.title}:`));
    for (const command of group.commands)
      lines.push(`  ${style.cyan(command.name.padEnd(widest))}  ${command.summary}`);
    lines.push('');
  }
  lines.push('"diskmorph COMMAND --help" shows options and examples. "diskmorph --version" shows the version.');
  return `${lines.join('\n')}\n`;
}

/** Commands that belong together. */
export interface CommandGroup {
  readonly title: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
}

/** The help of one command. */
export function commandHelp(command: Command, page: HelpPage): string {
  const { style, width } = page;
  const lines = [`${style.bold('Usage:')} ${usageLine(command)}`, '', ...wrapText(command.summary, width)];
  for (const note of command.notes ?? []) lines.push('', ...wrapText(note, width));
  lines.push('', style.bold('Options:'), ...optionLines([...command.options, HELP_OPTION], page));
  if (command.exitCodes !== undefined) {
    lines.push('', style.bold('Exit codes:'));
    for (const [code, meaning] of command.exitCodes) lines.push(`  ${String(code).padStart(2)}  ${meaning}`);
    lines.push('  Errors have codes of their own: see docs/cli.md.');
  }
  if (command.examples.length > 0) lines.push('', style.bold('Examples:'));
  for (const example of command.examples) lines.push(`  ${style.dim(`# ${example.says}`)}`, `  ${example.line}`);
  return `${lines.join('\n')}\n`;
}

/** One line: the command with its operands. */
export function usageLine(command: Command): string {
  const optionalFrom = command.operands.length - (command.optionalOperands ?? 0);
  const operands = command.operands.map((name, index) => (index < optionalFrom ? name : `[${name}]`));
  return ['diskmorph', command.name, '[OPTIONS]', ...operands].join(' ');
}

const OPTION_COLUMN = 28;

function optionLines(options: readonly OptionSpec[], page: HelpPage): string[] {
  return options.flatMap((option) => {
    const left = `  ${optionSyntax(option)}`;
    const indent = ' '.repeat(OPTION_COLUMN);
    const text = wrapText(option.summary, Math.max(24, page.width - OPTION_COLUMN));
    const [first = '', ...rest] = text;
    const shown = page.style.cyan(left);
    const head =
      left.length < OPTION_COLUMN - 1
        ? [`${shown}${' '.repeat(OPTION_COLUMN - left.length)}${first}`]
        : [shown, `${indent}${first}`];
    return [...head, ...rest.map((line) => `${indent}${line}`)];
  });
}

function optionSyntax(option: OptionSpec): string {
  const short = option.short === undefined ? '    ' : `-${option.short}, `;
  if (option.value === undefined) return `${short}--${option.long}`;
  if (option.valueIsOptional === true) return `${short}--${option.long}[=${option.value}]`;
  return `${short}--${option.long} ${option.value}`;
}
