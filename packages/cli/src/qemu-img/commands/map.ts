import type { OptionSpec } from '../arguments/getopt.ts';
import { outputFormat, readCommandLine } from '../arguments/given-options.ts';
import { requireByteCount } from '../arguments/size.ts';
import { Failure, usageFailure } from '../failure.ts';
import type { BlockStatus } from '../image/block-status.ts';
import { blockStatus, countedSize } from '../image/block-status.ts';
import { knownImage } from '../image/image-source.ts';
import { closeLayers, openLayers } from '../image/layers.ts';
import { readImageName } from '../image/location.ts';
import { out } from '../text/output.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', long: 'format', takes: 'value' },
  { long: 'output', takes: 'value' },
  { long: 'image-opts', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
  { short: 's', long: 'start-offset', takes: 'value' },
  { short: 'l', long: 'max-length', takes: 'value' },
];

/** Text that is collected before it is written. */
const BATCH_LENGTH = 64 * 1024;

/** `qemu-img map`: what of the guest disk is stored, in which file, and where. */
export async function map(args: readonly string[]): Promise<number> {
  const line = readCommandLine('map', args, OPTIONS);
  const output = outputFormat(line);
  const start = requireByteCount(line.value('start-offset') ?? '0', 'start offset');
  const most = line.value('max-length');
  const [name, ...more] = line.operands;
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const reading = { asOptions: line.has('image-opts'), format: line.value('format') };
  const layers = await openLayers(await knownImage(readImageName(name, reading)));
  try {
    const end = most === undefined ? countedSize(layers) : start + requireByteCount(most, 'max length');
    const length = Math.max(0, Math.min(end, countedSize(layers)) - start);
    const statuses = blockStatus(layers, { offset: start, length });
    await (output === 'json' ? printJson(statuses) : printTable(statuses));
    return 0;
  } finally {
    await closeLayers(layers);
  }
}

/** The entry of a disk without bytes. */
const NOTHING = '{ "start": 0, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}';

async function printJson(statuses: AsyncIterable<BlockStatus>): Promise<void> {
  let text = '[';
  let separator = '';
  for await (const { start, length, depth, present, zero, data, offset } of statuses) {
    const place = offset === undefined ? '' : `, "offset": ${offset}`;
    text += `${separator}{ "start": ${start}, "length": ${length}, "depth": ${depth}, "present": ${present}, "zero": ${zero}, "data": ${data}${place}}`;
    separator = ',\n';
    if (text.length > BATCH_LENGTH) {
      out(text);
      text = '';
    }
  }
  out(`${text}${separator === '' ? NOTHING : ''}]\n`);
}

const COLUMN = 16;

async function printTable(statuses: AsyncIterable<BlockStatus>): Promise<void> {
  let text = `${['Offset', 'Length', 'Mapped to'].map((title) => title.padEnd(COLUMN)).join('')}File\n`;
  for await (const { start, length, zero, data, offset, file } of statuses) {
    if (!data || zero) continue;
    if (offset === undefined) {
      out(text);
      throw new Failure('File contains external, encrypted or compressed clusters.');
    }
    text += `${[start, length, offset].map((number) => hexadecimal(number).padEnd(COLUMN)).join('')}${file}\n`;
    if (text.length > BATCH_LENGTH) {
      out(text);
      text = '';
    }
  }
  out(text);
}

/** As C prints `%#x`: 0 has no prefix. */
function hexadecimal(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}
