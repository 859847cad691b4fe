import { alignUp } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import { readCommandLine } from '../arguments/given-options.ts';
import { malformedSize, parseByteCount } from '../arguments/size.ts';
import { writerRequest } from '../create/writer-options.ts';
import { Failure } from '../failure.ts';
import { findDriver } from '../format-names.ts';
import { imageFile, knownImage, openGuestDisk } from '../image/image-source.ts';
import { requireChain } from '../image/layers.ts';
import { fromName, readImageName } from '../image/location.ts';
import { convertIntoNew } from './convert-into-new.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 'O', takes: 'value' },
  { long: 'image-opts', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
];

const SECTOR_SIZE = 512;
const MAX_BLOCK_SIZE = 2 ** 31 - 1;

/** `qemu-img dd`: a part of the guest disk as a new image. */
export async function dd(args: readonly string[]): Promise<number> {
  const line = readCommandLine('dd', args, OPTIONS);
  const given = readOperands(line.operands);
  const input = given.get('if');
  const output = given.get('of');
  if (input === undefined || output === undefined) throw new Failure('Must specify both input and output files');
  const reading = { asOptions: line.has('image-opts'), format: line.value('f') };
  const driver = line.value('O') ?? 'raw';
  const format = findDriver(driver);
  const image = await knownImage(readImageName(input, reading));
  await requireChain(image);
  if (format === undefined) throw new Failure(`Unknown file format '${driver}'`);
  if (format.writer === undefined) throw new Failure(`Format driver '${driver}' does not support image creation`);
  const disk = await openGuestDisk(image);
  await disk.close();
  const part = readPart(given, disk.virtualSize);
  const refuse = (message: string): Failure => new Failure(`${output}: ${message}`);
  await convertIntoNew(
    {
      source: { ...imageFile(image), part },
      format,
      target: output,
      targetPath: fromName(output).path,
      request: writerRequest(format, new Map(), { compressed: false, refuse }),
      backing: undefined,
      zeroRule: undefined,
      bitmaps: undefined,
      threads: true,
      durability: 'cached',
    },
    () => {},
  );
  return 0;
}

function readOperands(operands: readonly string[]): ReadonlyMap<string, string> {
  const known = new Set(['bs', 'count', 'if', 'of', 'skip']);
  const given = new Map<string, string>();
  for (const operand of operands) {
    const equals = operand.indexOf('=');
    const name = operand.slice(0, equals < 0 ? undefined : equals);
    if (equals < 0 || !known.has(name)) throw new Failure(`unrecognized operand ${equals < 0 ? operand : name}`);
    given.set(name, operand.slice(equals + 1));
  }
  return given;
}

/** The guest bytes that are meant. */
function readPart(
  given: ReadonlyMap<string, string>,
  virtualSize: number,
): { readonly offset: number; readonly size: number } {
  const blockSize = readNumber(given, 'bs') ?? SECTOR_SIZE;
  if (blockSize < 1 || blockSize > MAX_BLOCK_SIZE) {
    throw new Failure(`Invalid bs specified. Must be between 1 and ${MAX_BLOCK_SIZE}.`);
  }
  const count = readNumber(given, 'count');
  const end = count === undefined ? virtualSize : Math.min(virtualSize, count * blockSize);
  const offset = Math.min((readNumber(given, 'skip') ?? 0) * blockSize, alignUp(virtualSize, SECTOR_SIZE));
  return { offset: Math.min(offset, virtualSize), size: Math.max(0, end - offset) };
}

function readNumber(given: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const value = parseByteCount(text);
  if (typeof value === 'bigint' && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw malformedSize(`Invalid ${name} specified.`);
}
