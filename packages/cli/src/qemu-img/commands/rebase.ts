import type { DiskImage } from '@diskmorph/disk-image';
import { nodeCodecs } from '@diskmorph/disk-image-node';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { checkCacheMode, readCommandLine } from '../arguments/given-options.ts';
import { openBacking } from '../create/backing-image.ts';
import { Failure, reasonOf, usageFailure } from '../failure.ts';
import { findDriver } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, knownImage, openGuestDisk } from '../image/image-source.ts';
import { requireChain } from '../image/layers.ts';
import { readImageName } from '../image/location.ts';
import { progressText } from '../text/progress.ts';
import { changeBacking } from './change-backing.ts';
import { withGuestWriter } from './guest-writer.ts';
import { readPadded } from './padded-read.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 'F', takes: 'value' },
  { short: 'b', takes: 'value' },
  { short: 'u', takes: 'nothing' },
  { short: 'p', takes: 'nothing' },
  { short: 'q', takes: 'nothing' },
  { short: 't', takes: 'value' },
  { short: 'T', takes: 'value' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
];

/** `qemu-img rebase`: another backing image; with `-u` only its name is changed. */
export async function rebase(args: readonly string[]): Promise<number> {
  const line = readCommandLine('rebase', args, OPTIONS);
  checkCacheMode(line.value('t'), 'cache');
  checkCacheMode(line.value('T'), 'source cache');
  const [name, ...more] = line.operands;
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const backing = line.value('b');
  if (backing === undefined && !line.has('u')) {
    throw usageFailure('Must specify backing file (-b) or use unsafe mode (-u)');
  }
  const backingFormat = line.value('F');
  const reading = { asOptions: line.has('image-opts'), format: line.value('f') };
  const image = await knownImage(readImageName(name, reading));
  const progress = progressText(line.has('p') && !line.has('q'));
  try {
    if (!line.has('u')) await keepGuestBytes(image, line, (percent) => progress.update(percent));
    if (backingFormat !== undefined && findDriver(backingFormat) === undefined) {
      throw new Failure(`Invalid format name: '${backingFormat}'`);
    }
    await nameBacking(image, backing ?? '', backingFormat);
    progress.end('done');
    return 0;
  } catch (error) {
    progress.end('failed');
    throw error;
  }
}

async function nameBacking(image: KnownImage, name: string, format: string | undefined): Promise<void> {
  const { location } = image;
  const failing = `Could not change the backing file to '${name}'`;
  if (image.format.editor?.changeBacking === undefined) throw new Failure(`${failing}: Operation not supported`);
  if (name !== '' && format === undefined) throw new Failure(`${failing}: backing format must be specified`);
  try {
    const target = { format: image.format, path: location.path, shownName: location.given };
    await changeBacking(target, name === '' ? undefined : { name, format });
  } catch (error) {
    throw new Failure(`${failing}: ${reasonOf(error)}`);
  }
}

/** Stores what the new backing image would show otherwise than the old one. */
async function keepGuestBytes(
  image: KnownImage,
  line: CommandLine,
  onPercent: (percent: number) => void,
): Promise<void> {
  const name = line.value('b') ?? '';
  await requireChain(image);
  const { info } = await examineImage(image);
  const next = name === '' ? undefined : await openNext(image, name, line.value('F'));
  try {
    // What this layer stores itself is the same before and after.
    const layer = await openGuestDisk({ ...image, location: { ...image.location, hasBacking: false } });
    const whole = await openGuestDisk(image);
    try {
      if (info.backing === undefined && next === undefined) return;
      await withGuestWriter(image, async (writer) => {
        const pieceSize = Math.max(MIN_PIECE_SIZE, writer.unitSize);
        const buffers = { wanted: new Uint8Array(pieceSize), shown: new Uint8Array(pieceSize) };
        for (let offset = 0; offset < writer.virtualSize; offset += pieceSize) {
          const length = Math.min(pieceSize, writer.virtualSize - offset);
          const absent = await absentRanges(layer, offset, length);
          if (absent.length > 0) {
            const wanted = buffers.wanted.subarray(0, length);
            const shown = buffers.shown.subarray(0, length);
            await readPadded(whole, offset, wanted);
            shown.set(wanted);
            for (const range of absent) {
              const part = shown.subarray(range.offset - offset, range.offset - offset + range.length);
              if (next === undefined) part.fill(0);
              else await readPadded(next, range.offset, part);
            }
            await storeChanged({ wanted, shown, offset }, writer);
          }
          onPercent(((offset + length) / writer.virtualSize) * 100);
        }
      });
    } finally {
      await whole.close();
      await layer.close();
    }
  } finally {
    await next?.close();
  }
}

const MIN_PIECE_SIZE = 256 * 1024;

async function openNext(image: KnownImage, name: string, format: string | undefined): Promise<DiskImage> {
  try {
    return (await openBacking({ name, format, imagePath: image.location.path }, '')).disk;
  } catch (error) {
    throw new Failure(`Could not open new backing file '${name}': ${reasonOf(error)}`);
  }
}

async function absentRanges(
  layer: DiskImage,
  offset: number,
  length: number,
): Promise<{ readonly offset: number; readonly length: number }[]> {
  const ranges: { readonly offset: number; readonly length: number }[] = [];
  for await (const extent of layer.extents({ offset, length })) if (extent.state === 'absent') ranges.push(extent);
  return ranges;
}

interface ComparedPiece {
  readonly wanted: Uint8Array;
  readonly shown: Uint8Array;
  readonly offset: number;
}

async function storeChanged(
  { wanted, shown, offset }: ComparedPiece,
  writer: {
    unitSize: number;
    write(at: number, bytes: Uint8Array): Promise<void>;
    zero(at: number, length: number): Promise<void>;
  },
): Promise<void> {
  for (let at = 0; at < wanted.length; at += writer.unitSize) {
    const end = Math.min(at + writer.unitSize, wanted.length);
    const unit = wanted.subarray(at, end);
    if (Buffer.compare(unit, shown.subarray(at, end)) === 0) continue;
    if (nodeCodecs().isZero(unit)) await writer.zero(offset + at, end - at);
    else await writer.write(offset + at, unit);
  }
}
