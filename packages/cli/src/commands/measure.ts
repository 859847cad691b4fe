import path from 'node:path';
import type { Details, FormatWriter, TargetLayout } from '@diskmorph/disk-image';
import { allocationSize, ImageError, parseSize } from '@diskmorph/disk-image';
import { openImageFile, requireFormat } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import {
  FORMAT_OPTION,
  JSON_OPTION,
  parseTargetOptions,
  REFERENCES_OPTION,
  requireOperand,
  SNAPSHOT_OPTION,
} from '../arguments/shared-options.ts';
import { factLines } from '../fact-lines.ts';
import { countDataUnits } from '../data-units.ts';
import { EXIT } from '../exit-code.ts';
import { exactSizeText } from '../terminal/size-text.ts';
import { UNPACKING_OPTIONS, withImage } from '../unpacked-source.ts';

/** `diskmorph measure`. */
export const measureCommand: Command = {
  name: 'measure',
  summary: 'Say how large a converted image would be, without writing it. Compression is not taken into account.',
  operands: ['FILE'],
  optionalOperands: 1,
  options: [
    FORMAT_OPTION,
    { long: 'output-format', short: 'O', value: 'FMT', summary: 'Format to measure for' },
    { long: 'options', short: 'o', value: 'KEY=VALUE,...', repeatable: true, summary: 'Options of that format' },
    { long: 'size', value: 'SIZE', summary: 'Measure for an empty disk of this size, such as 10G, instead of FILE' },
    SNAPSHOT_OPTION,
    REFERENCES_OPTION,
    ...UNPACKING_OPTIONS,
    JSON_OPTION,
  ],
  examples: [
    { says: 'how much space will this need?', line: 'diskmorph measure -O qcow2 disk.raw' },
    { says: 'and an empty disk?', line: 'diskmorph measure -O vmdk --size 100G' },
  ],
  run: runMeasure,
};

async function runMeasure(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const target = makeTarget(given);
  const measured = given.has('size') ? measureSize(given, target) : await measureFile(given, target, context);
  if (given.has('json')) {
    await terminal.json(measured);
    return EXIT.ok;
  }
  const { virtualSize, required, fullyAllocated } = measured;
  const rows = [
    ['virtual size', exactSizeText(virtualSize)],
    ['required', exactSizeText(required)],
    ['fully allocated', exactSizeText(fullyAllocated)],
  ] as const;
  const head = terminal.outStyle.bold(
    `${target.format}${measured.detected === true ? ` from ${measured.sourceFormat}, detected` : ''}`,
  );
  await terminal.out(`${[head, ...factLines(rows, terminal.outStyle)].join('\n')}\n`);
  return EXIT.ok;
}

interface Target {
  readonly format: string;
  readonly writer: FormatWriter;
  layout(virtualSize: number): TargetLayout;
}

/** What `measure --json` prints: sizes in bytes, and what the format adds. */
type Measurement = Details & {
  readonly virtualSize: number;
  readonly required: number;
  readonly fullyAllocated: number;
  readonly sourceFormat?: string;
  readonly detected?: boolean;
};

const NO_SEED = new Uint8Array(16);

function makeTarget(given: GivenArguments): Target {
  const name = given.text('output-format');
  if (name === undefined) throw new UsageError('-O FMT is missing: which format is to be measured?');
  const { name: format, writer } = requireFormat(name);
  if (writer === undefined) throw new ImageError('unsupported', `${format} images can be recognised but not written`);
  const options = parseTargetOptions(given.all('options'));
  const fileName = path.basename(given.operands[0] ?? 'disk');
  return {
    format,
    writer,
    layout: (virtualSize) => writer.layout({ virtualSize, options, fileName, seed: NO_SEED }),
  };
}

function measureSize(given: GivenArguments, target: Target): Measurement {
  if (given.operands.length > 0) throw new UsageError('Give --size or FILE, not both');
  const text = given.text('size') ?? '';
  const virtualSize = parseSize(text);
  if (virtualSize === undefined) throw new UsageError(`--size ${text} is not a size such as 512M or 10G`);
  return { virtualSize, ...target.writer.measure(target.layout(virtualSize), 0) };
}

async function measureFile(given: GivenArguments, target: Target, context: CommandContext): Promise<Measurement> {
  if (given.operands.length === 0) throw new UsageError('FILE is missing; or give --size');
  return withImage({ path: requireOperand(given, 0) }, { given, context }, async ({ file, detected }) => {
    const image = await openImageFile(file);
    try {
      const layout = target.layout(image.virtualSize);
      const dataUnits = await countDataUnits(image, allocationSize(layout), context.signal);
      const sizes = target.writer.measure(layout, dataUnits);
      return { virtualSize: image.virtualSize, ...sizes, sourceFormat: file.format, detected };
    } finally {
      await image.close();
    }
  });
}
