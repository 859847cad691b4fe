import type { DiskImage, Extent } from '@diskmorph/disk-image';
import { openImageFile } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import {
  FORMAT_OPTION,
  JSON_OPTION,
  REFERENCES_OPTION,
  requireOperand,
  SNAPSHOT_OPTION,
} from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { sizeText } from '../terminal/size-text.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { UNPACKING_OPTIONS, withImage } from '../unpacked-source.ts';

/** `diskmorph map`. */
export const mapCommand: Command = {
  name: 'map',
  summary: 'Show which parts of the disk hold data, which are zeros, and where in the file the data lies.',
  operands: ['FILE'],
  notes: [
    'data: stored in the file. zero: the image says zeros. absent: the image says nothing, which reads as zeros. Numbers are bytes.',
    'Of a packed image the places are those in the image inside.',
  ],
  options: [FORMAT_OPTION, SNAPSHOT_OPTION, REFERENCES_OPTION, ...UNPACKING_OPTIONS, JSON_OPTION],
  examples: [
    { says: 'a table', line: 'diskmorph map disk.qcow2' },
    {
      says: 'bytes of data, counted by a program',
      line: `diskmorph map --json disk.qcow2 | jq 'map(select(.state == "data").length) | add'`,
    },
  ],
  run: runMap,
};

function runMap(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  return withImage({ path: requireOperand(given, 0) }, { given, context }, async ({ file }) => {
    const image = await openImageFile(file);
    try {
      if (given.has('json')) await printJson(image, terminal, signal);
      else await printTable(image, terminal, signal);
    } finally {
      await image.close();
    }
    return EXIT.ok;
  });
}

/** One extent a line inside one array: a map of any length takes no memory. */
async function printJson(image: DiskImage, terminal: Terminal, signal: AbortSignal): Promise<void> {
  let separator = '[\n';
  for await (const extent of wholeMap(image, signal)) {
    await terminal.out(`${separator}${JSON.stringify(extent)}`);
    separator = ',\n';
  }
  await terminal.out(separator === '[\n' ? '[]\n' : '\n]\n');
}

const COLUMN = 16;

async function printTable(image: DiskImage, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const { outStyle } = terminal;
  const titles = ['offset', 'length', 'in file at'].map((title) => title.padStart(COLUMN));
  await terminal.out(`${outStyle.dim(`${titles.join('')}  state`)}\n`);
  const sums = { data: 0, zero: 0, absent: 0 };
  for await (const extent of wholeMap(image, signal)) {
    sums[extent.state] += extent.length;
    const numbers = [extent.offset, extent.length, extent.hostOffset ?? '-'].map((n) => String(n).padStart(COLUMN));
    const state = extent.state === 'data' ? outStyle.green('data') : extent.state;
    const notes = [
      ...(extent.compressed ? ['compressed'] : []),
      ...(extent.hostFile === undefined ? [] : [`in ${JSON.stringify(extent.hostFile)}`]),
      ...((extent.depth ?? 0) > 0 ? [`backing image ${extent.depth}`] : []),
    ];
    await terminal.out(`${numbers.join('')}  ${[state, ...notes].join(', ')}\n`);
  }
  const { data, zero, absent } = sums;
  await terminal.out(`${sizeText(data)} of data, ${sizeText(zero)} of zeros, ${sizeText(absent)} absent\n`);
}

async function* wholeMap(image: DiskImage, signal: AbortSignal): AsyncGenerator<Extent> {
  for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
    signal.throwIfAborted();
    yield extent;
  }
}
