import type { Format } from '@diskmorph/disk-image';
import { formats } from '@diskmorph/disk-image';
import { requireFormat } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import type { Style } from '../terminal/style.ts';
import { tableLines, wrapText } from '../terminal/text-layout.ts';

/** `diskmorph formats`. */
export const formatsCommand: Command = {
  name: 'formats',
  summary: 'List the formats that can be recognised, read, checked and written, or the options of one.',
  operands: ['FMT'],
  optionalOperands: 1,
  options: [JSON_OPTION],
  examples: [
    { says: 'all formats', line: 'diskmorph formats' },
    { says: 'the options for -o', line: 'diskmorph formats qcow2' },
  ],
  run: runFormats,
};

async function runFormats(given: GivenArguments, { terminal }: CommandContext): Promise<number> {
  const [name] = given.operands;
  const shown = name === undefined ? formats : [requireFormat(name)];
  const page = { style: terminal.outStyle, width: terminal.width() };
  if (given.has('json')) await terminal.json(shown.map(formatFacts));
  else if (name === undefined) await terminal.out(overviewText(page.style));
  else for (const format of shown) await terminal.out(formatText(format, page));
  return EXIT.ok;
}

function formatFacts(format: Format): Record<string, unknown> {
  return {
    name: format.name,
    aliases: format.aliases,
    reads: format.open !== undefined,
    writes: format.writer !== undefined,
    checks: format.check !== undefined,
    options: format.writer?.options ?? [],
  };
}

function overviewText(style: Style): string {
  const mark = (has: boolean): string => (has ? style.green('yes') : style.dim('-'));
  const rows = formats.map((format) => [
    `  ${style.bold(format.name)}`,
    mark(format.open !== undefined),
    mark(format.writer !== undefined),
    mark(format.check !== undefined),
    { right: String(format.writer?.options.length ?? '') },
    format.aliases.join(', '),
  ]);
  const [title = '', ...lines] = tableLines([
    ['  format', 'read', 'write', 'check', 'options', 'also called'],
    ...rows,
  ]);
  const notes = [
    '',
    'Every one of them is recognised by "diskmorph inspect".',
    '"diskmorph formats FMT" explains the options.',
  ];
  return `${[style.dim(title), ...lines, ...notes].join('\n')}\n`;
}

function formatText(format: Format, page: { readonly style: Style; readonly width: number }): string {
  const { style, width } = page;
  const abilities = [
    ...(format.open === undefined ? [] : ['read']),
    ...(format.check === undefined ? [] : ['checked']),
    ...(format.writer === undefined ? [] : ['written']),
  ];
  const can = abilities.length === 0 ? 'is recognised, not read' : `can be ${abilities.join(', ')}`;
  const lines = [`${style.bold(format.name)} ${can}.`];
  const options = format.writer?.options ?? [];
  if (options.length > 0) lines.push('', 'Options for -o:');
  for (const option of options) {
    lines.push(`  ${style.cyan(option.name)}=${option.values}  ${style.dim(`default ${option.default}`)}`);
    lines.push(...wrapText(option.summary, Math.max(30, width - 6)).map((line) => `      ${line}`));
  }
  return `${lines.join('\n')}\n`;
}
