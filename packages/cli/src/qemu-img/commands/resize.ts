import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync } from 'node:fs';
import { alignUp, ImageError } from '@diskmorph/disk-image';
import type { ResizeRequest } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import { readCommandLine } from '../arguments/given-options.ts';
import { parseByteCount } from '../arguments/size.ts';
import { allocateHoles } from '../create/allocate-holes.ts';
import { couldNotOpen, Failure, reasonOf, usageFailure } from '../failure.ts';
import { listedBitmaps, refuseInconsistent } from '../image/bitmap-list.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, knownImage } from '../image/image-source.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import { out } from '../text/output.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 'q', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
  { long: 'preallocation', takes: 'value' },
  { long: 'shrink', takes: 'nothing' },
];

const SECTOR_SIZE = 512;
const PREALLOCATION = ['off', 'metadata', 'falloc', 'full'] as const;

/** `qemu-img resize`: another size of the guest disk, in place. */
export async function resize(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) readCommandLine('resize', ['--help'], OPTIONS);
  // The size comes last and may begin with a minus, so it is taken off before options are looked for.
  const size = args.at(-1);
  const line = readCommandLine('resize', args.slice(0, -1), OPTIONS);
  const given = line.value('preallocation') ?? 'off';
  const preallocation = PREALLOCATION.find((mode) => mode === given);
  if (preallocation === undefined) throw new Failure(`Invalid preallocation mode '${given}'`);
  const [name, ...more] = line.operands;
  if (size === undefined || args.length < 2) throw usageFailure('Not enough arguments');
  if (name === undefined || more.length > 0) throw usageFailure('Expecting image file name and size');
  const reading = { asOptions: line.has('image-opts'), format: line.value('f') };
  const image = await knownImage(readImageName(name, reading));
  const { info } = await examineImage(image);
  const current = alignUp(info.virtualSize, SECTOR_SIZE);
  const virtualSize = newSize(size, current);
  if (virtualSize < current && preallocation !== 'off') {
    throw new Failure('Preallocation can only be used for growing images');
  }
  if (virtualSize < current && !line.has('shrink')) throw needsShrink();
  for (const bitmap of listedBitmaps(info)) refuseInconsistent(bitmap);
  const shrink = line.has('shrink') ? 'allow' : 'refuse';
  await change(image, { virtualSize, shrink, preallocation });
  if (!line.has('q')) out('Image resized.\n');
  return 0;
}

function newSize(text: string, current: number): number {
  const relative = /^[+-]/.exec(text)?.[0];
  const bytes = parseByteCount(relative === undefined ? text : text.slice(1));
  if (typeof bytes !== 'bigint') {
    throw new Failure(
      "Parameter 'size' expects a non-negative number below 2^64\n" +
        'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.',
    );
  }
  const amount = Number(bytes);
  const size = relative === undefined ? amount : current + (relative === '+' ? amount : -amount);
  if (size <= 0) throw new Failure('New image size must be positive');
  if (!Number.isSafeInteger(size)) throw new Failure('The new size is larger than any image can be');
  return alignUp(size, SECTOR_SIZE);
}

function needsShrink(): Failure {
  return new Failure([
    'Use the --shrink option to perform a shrink operation.',
    "warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.",
  ]);
}

async function change(image: KnownImage, request: ResizeRequest): Promise<void> {
  const { location, format } = image;
  const edit = format.editor?.resize;
  if (format.name === 'raw') await resizeRaw(image, request);
  else if (edit === undefined) throw new Failure('Image format driver does not support resize');
  else {
    try {
      await withWritableFile(location.path, location.given, (file) => edit(file, request));
    } catch (error) {
      throw error instanceof ImageError ? new Failure(reasonOf(error)) : error;
    }
  }
}

async function resizeRaw({ location }: KnownImage, request: ResizeRequest): Promise<void> {
  const { virtualSize, preallocation } = request;
  if (location.window !== undefined) throw new Failure('A part of a file cannot be resized');
  if (preallocation === 'metadata') throw new Failure('Unsupported preallocation mode: metadata');
  let fd: number;
  try {
    fd = openSync(location.path, 'r+');
  } catch (error) {
    throw couldNotOpen(location.given, error);
  }
  try {
    if (!fstatSync(fd).isFile()) throw new Failure('Cannot grow device files');
    ftruncateSync(fd, virtualSize);
    fsyncSync(fd);
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(reasonOf(error));
  } finally {
    closeSync(fd);
  }
  if (preallocation !== 'off') await allocateHoles(location.path, preallocation);
}
