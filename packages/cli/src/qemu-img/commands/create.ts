import type { Format, ImageReference } from '@diskmorph/disk-image';
import { alignUp } from '@diskmorph/disk-image';
import { createImageFile, openFileSourceSync } from '@diskmorph/disk-image-node';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { readCommandLine } from '../arguments/given-options.ts';
import { requireByteCount } from '../arguments/size.ts';
import { allocateNew } from '../create/allocate-holes.ts';
import { openBacking } from '../create/backing-image.ts';
import type { CreateValues } from '../create/given-create-options.ts';
import { asksForHelp, readCreateOptions } from '../create/given-create-options.ts';
import { allOptions, optionHelp } from '../create/option-table.ts';
import { writerRequest } from '../create/writer-options.ts';
import { Failure, reasonOf, systemWords, usageFailure } from '../failure.ts';
import { findDriver, qemuName } from '../format-names.ts';
import { detectDriver } from '../image/detect.ts';
import { openLocation, referencedPath } from '../image/image-source.ts';
import { fromName } from '../image/location.ts';
import { out } from '../text/output.ts';
import { settleTarget } from './convert-into-new.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 'b', takes: 'value' },
  { short: 'F', takes: 'value' },
  { short: 'o', takes: 'value' },
  { short: 'q', takes: 'nothing' },
  { short: 'u', takes: 'nothing' },
];

const SECTOR_SIZE = 512;

/** `qemu-img create`: a new image of zeros, or one that stands on a backing image. */
export async function create(args: readonly string[]): Promise<number> {
  const line = readCommandLine('create', args, OPTIONS);
  const driver = line.value('f') ?? 'raw';
  const [name, size, extra] = line.operands;
  if (asksForHelp(line.values('o'))) {
    if (findDriver(driver) === undefined) throw new Failure(`Unknown file format '${driver}'`);
    out(optionHelp(driver, name === undefined ? 'format' : 'target'));
    return 0;
  }
  if (name === undefined) throw usageFailure('Expecting image file name');
  if (extra !== undefined) throw usageFailure(`Unexpected argument: ${extra}`);
  const givenSize = size === undefined ? undefined : requireByteCount(size, 'image size');
  const plan = await planImage(line, { name, driver, givenSize });
  if (!line.has('q')) out(formattingLine(plan));
  await make(plan);
  return 0;
}

interface ImagePlan {
  readonly name: string;
  readonly driver: string;
  readonly format: Format;
  readonly values: CreateValues;
  readonly size: number;
}

async function planImage(
  line: CommandLine,
  asked: { readonly name: string; readonly driver: string; readonly givenSize: number | undefined },
): Promise<ImagePlan> {
  const { name, driver, givenSize } = asked;
  const prefix = `${name}: `;
  const format = findDriver(driver);
  if (format === undefined) throw new Failure(`${prefix}Unknown file format '${driver}'`);
  if (format.writer === undefined) {
    throw new Failure(`${prefix}Format driver '${driver}' does not support image creation`);
  }
  const given = readCreateOptions(driver, line.values('o'), prefix);
  const values = new Map(given);
  if (givenSize !== undefined && values.has('size')) {
    throw new Failure(`${prefix}The image size must be specified only once`);
  }
  setBacking(line, { name, values, driver, prefix });
  const size = givenSize ?? sizeOption(values) ?? (await backingSize(line, { name, values, prefix }));
  if (givenSize !== undefined && values.has('backing_file') && !line.has('u')) {
    await backingSize(line, { name, values, prefix });
  }
  if (size === undefined) throw new Failure(`${prefix}Image creation needs a size parameter`);
  return { name, driver, format, values, size };
}

interface GivenBacking {
  readonly name: string;
  readonly values: Map<string, string>;
  readonly driver: string;
  readonly prefix: string;
}

function setBacking(line: CommandLine, { name, values, driver, prefix }: GivenBacking): void {
  const takesBacking = allOptions(driver).some((option) => option.name === 'backing_file');
  const file = line.value('b');
  const format = line.value('F');
  if (file !== undefined && !takesBacking)
    throw new Failure(`${prefix}Backing file not supported for file format '${driver}'`);
  if (format !== undefined && !takesBacking) {
    throw new Failure(`${prefix}Backing format not supported for file format '${driver}'`);
  }
  if (file !== undefined) values.set('backing_file', file);
  if (format !== undefined) values.set('backing_fmt', format);
  if (values.get('backing_file') === name) {
    throw new Failure(`${prefix}Error: Trying to create an image with the same filename as the backing file`);
  }
}

function sizeOption(values: CreateValues): number | undefined {
  const size = values.get('size');
  return size === undefined ? undefined : Number(size);
}

async function backingSize(
  line: CommandLine,
  image: { readonly name: string; readonly values: CreateValues; readonly prefix: string },
): Promise<number | undefined> {
  const { name, values, prefix } = image;
  const backing = values.get('backing_file');
  if (backing === undefined) return undefined;
  const format = values.get('backing_fmt');
  if (format === undefined) throw await unnamedBackingFormat(line, { name, backing, prefix });
  if (line.has('u')) return undefined;
  try {
    const { disk } = await openBacking({ name: backing, format, imagePath: name }, '');
    await disk.close();
    return alignUp(disk.virtualSize, SECTOR_SIZE);
  } catch (error) {
    throw new Failure(`${prefix}${reasonOf(error)}\nCould not open backing image.`);
  }
}

async function unnamedBackingFormat(
  line: CommandLine,
  image: { readonly name: string; readonly backing: string; readonly prefix: string },
): Promise<Failure> {
  const message = `${image.prefix}Backing file specified without backing format`;
  if (line.has('u')) return new Failure(message);
  const source = openLocation(fromName(referencedPath(image.name, image.backing) ?? image.backing));
  try {
    const found = await detectDriver(source, image.backing);
    // The real program ends its message without a line break here; ours ends every message.
    return new Failure(`${message}\nDetected format of ${qemuName(found.name)}.`);
  } finally {
    await source.close();
  }
}

function formattingLine({ name, driver, values, size }: ImagePlan): string {
  const shown = allOptions(driver).flatMap(({ name: option, shownDefault }) => {
    const value = option === 'size' ? String(size) : (values.get(option) ?? shownDefault);
    return value === undefined ? [] : [` ${option}=${value}`];
  });
  return `Formatting '${name}', fmt=${driver}${shown.join('')}\n`;
}

async function make(plan: ImagePlan): Promise<void> {
  const { name, driver, format, values } = plan;
  const prefix = `${name}:`;
  const refuse = (message: string): Failure => new Failure(`${prefix} ${message}`);
  const backing = values.get('backing_file');
  const backingFormat = values.get('backing_fmt');
  if (backing !== undefined && (values.get('preallocation') ?? 'off') !== 'off' && values.get('extended_l2') !== 'on') {
    throw refuse('Backing file and preallocation can only be used at the same time if extended_l2 is on');
  }
  const request = writerRequest(format, values, { compressed: false, refuse });
  if (driver === 'qcow2' && backing === undefined && backingFormat !== undefined) {
    throw refuse('Backing format cannot be used without backing file');
  }
  const { path, before } = await settleTarget(name, prefix);
  const isDevice = before?.isBlockDevice() === true;
  if (isDevice && driver === 'raw') {
    await checkDeviceSize(path, plan.size, refuse);
    return;
  }
  try {
    const files = await createImageFile({
      path,
      format: format.name,
      virtualSize: driver === 'raw' ? alignUp(plan.size, SECTOR_SIZE) : plan.size,
      options: request.options,
      overwrite: true,
      ...(backing === undefined ? {} : { backing: await backingReference(plan, backing, backingFormat) }),
    });
    if (request.holdsAllBytes && !isDevice) for (const file of files) await allocateNew(file, request.allocateFile);
  } catch (error) {
    if (error instanceof Failure) throw refuse(error.message);
    const words = systemWords(error);
    throw refuse(words === 'No such file or directory' ? `Could not create '${name}': ${words}` : reasonOf(error));
  }
}

/** A raw disk on a device is what the device holds. */
async function checkDeviceSize(path: string, size: number, refuse: (message: string) => Failure): Promise<void> {
  const device = openFileSourceSync(path);
  await device.close();
  if (device.size < size) throw refuse('Cannot grow device files');
}

/** The backing image as the header will name it. A VMDK records which content its parent has, so the parent is opened. */
async function backingReference(plan: ImagePlan, name: string, format: string | undefined): Promise<ImageReference> {
  const reference = { kind: 'backing' as const, name, ...(format === undefined ? {} : { format }) };
  if (plan.driver !== 'vmdk') return reference;
  const { disk } = await openBacking({ name, format, imagePath: plan.name }, '');
  await disk.close();
  return disk.info.linkId === undefined ? reference : { ...reference, linkIds: [disk.info.linkId] };
}
