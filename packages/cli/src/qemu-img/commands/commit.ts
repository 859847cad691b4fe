import { alignUp } from '@diskmorph/disk-image';
import { nodeCodecs } from '@diskmorph/disk-image-node';
import type { OptionSpec } from '../arguments/getopt.ts';
import { checkCacheMode, readCommandLine } from '../arguments/given-options.ts';
import { malformedSize, parseByteCount } from '../arguments/size.ts';
import { Failure, reasonOf, usageFailure } from '../failure.ts';
import { listedBitmaps } from '../image/bitmap-list.ts';
import { knownImage } from '../image/image-source.ts';
import type { Layer } from '../image/layers.ts';
import { closeLayers, openLayers } from '../image/layers.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import { out } from '../text/output.ts';
import { progressText } from '../text/progress.ts';
import { commitInto } from './commit-into.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 't', takes: 'value' },
  { short: 'b', takes: 'value' },
  { short: 'r', takes: 'value' },
  { short: 'd', takes: 'nothing' },
  { short: 'p', takes: 'nothing' },
  { short: 'q', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
];

const SECTOR_SIZE = 512;

/** `qemu-img commit`: writes what an image stores into the image that it stands on, and empties it. */
export async function commit(args: readonly string[]): Promise<number> {
  const line = readCommandLine('commit', args, OPTIONS);
  checkCacheMode(line.value('t'), 'cache');
  const rate = line.value('r');
  if (rate !== undefined && typeof parseByteCount(rate) !== 'bigint')
    throw malformedSize('Invalid rate limit specified.');
  const [name, ...more] = line.operands;
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const reading = { asOptions: line.has('image-opts'), format: line.value('f') };
  const layers = await openLayers(await knownImage(readImageName(name, reading)));
  const progress = progressText(line.has('p') && !line.has('q'));
  try {
    const depth = baseDepth(layers, name, line.value('b'));
    await growBase(layers, depth);
    await commitInto(layers, {
      depth,
      isZero: (bytes) => nodeCodecs().isZero(bytes),
      onPercent: (percent) => progress.update(percent),
    });
    // Above an intermediate base the image itself keeps what it has, as the images between would be shown else.
    if (!line.has('d') && depth === 1) await emptyTop(layers);
    progress.end('done');
  } catch (error) {
    progress.end('failed');
    throw error instanceof Failure ? error : new Failure(`Could not commit: ${reasonOf(error)}`);
  } finally {
    await closeLayers(layers);
  }
  if (!line.has('q')) out('Image committed.\n');
  return 0;
}

function baseDepth(layers: readonly Layer[], name: string, base: string | undefined): number {
  if (layers.length < 2) throw new Failure('Image does not have a backing file');
  if (base === undefined) return 1;
  const depth = layers.findIndex(({ image, disk }, index) => {
    const above = layers[index - 1];
    return (
      index > 0 &&
      (image.location.path === base ||
        above?.disk.info.backing?.name === base ||
        (disk.info.backing?.name === undefined && image.location.given === base))
    );
  });
  if (depth < 1) throw new Failure(`Did not find '${base}' in the backing chain of '${name}'`);
  return depth;
}

/** A base that is smaller than what is committed into it grows first. */
async function growBase(layers: readonly Layer[], depth: number): Promise<void> {
  const base = layers[depth];
  const virtualSize = alignUp(layers[0]?.disk.virtualSize ?? 0, SECTOR_SIZE);
  if (base === undefined || base.disk.virtualSize >= virtualSize) return;
  const { format, location } = base.image;
  const broken = listedBitmaps(base.disk.info).find(({ inconsistent }) => inconsistent);
  if (broken !== undefined) {
    throw new Failure(
      `Block job failed: Operation not supported: bitmap '${broken.name}' of the backing image is inconsistent`,
    );
  }
  const resize = format.editor?.resize;
  await withWritableFile(location.path, location.given, async (file) => {
    if (format.name === 'raw') await file.sink.truncate(virtualSize);
    else if (resize === undefined) throw new Failure('The backing image is smaller, and its format cannot grow');
    else await resize(file, { virtualSize, shrink: 'refuse', preallocation: 'off' });
  });
}

async function emptyTop(layers: readonly Layer[]): Promise<void> {
  const top = layers[0];
  const empty = top?.image.format.editor?.empty;
  if (top === undefined || empty === undefined) return;
  await withWritableFile(top.image.location.path, top.image.location.given, (file) => empty(file));
}
