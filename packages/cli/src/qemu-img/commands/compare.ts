import { ImageError } from '@diskmorph/disk-image';
import { openImageFile, compareFiles } from '@diskmorph/disk-image-node';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { checkCacheMode, readCommandLine } from '../arguments/given-options.ts';
import { Failure, reasonOf, usageFailure, withExitCode } from '../failure.ts';
import type { BlockStatus } from '../image/block-status.ts';
import { blockStatus, countedSize } from '../image/block-status.ts';
import type { KnownImage } from '../image/image-source.ts';
import { imageFile, knownImage } from '../image/image-source.ts';
import type { Layer } from '../image/layers.ts';
import { closeLayers, openLayers } from '../image/layers.ts';
import { readImageName } from '../image/location.ts';
import { out } from '../text/output.ts';
import { progressText } from '../text/progress.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', long: 'first-format', takes: 'value' },
  { short: 'F', long: 'second-format', takes: 'value' },
  { short: 'T', takes: 'value' },
  { short: 'p', takes: 'nothing' },
  { short: 'q', takes: 'nothing' },
  { short: 's', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
];

const EXIT = { same: 0, different: 1, notOpened: 2, failed: 3, notRead: 4 } as const;
const SECTOR_SIZE = 512;

/** `qemu-img compare`. Exit codes: 0 the same, 1 different, 2 not opened, 4 not readable, 3 failed otherwise. */
export async function compare(args: readonly string[]): Promise<number> {
  const line = readCommandLine('compare', args, OPTIONS);
  checkCacheMode(line.value('T'), 'source cache');
  const [first, second, ...more] = line.operands;
  if (first === undefined || second === undefined || more.length > 0)
    throw usageFailure('Expecting two image file names');
  const pair = await openPair(line, first, second);
  const say = (text: string): void => {
    if (!line.has('q')) out(`${text}\n`);
  };
  const progress = progressText(line.has('p') && !line.has('q'));
  try {
    const outcome = await comparePair(pair, {
      strict: line.has('s'),
      say,
      onPercent: (percent) => progress.update(percent),
    });
    progress.end(outcome === EXIT.same ? 'done' : 'failed');
    if (outcome === EXIT.same) say('Images are identical.');
    return outcome;
  } catch (error) {
    progress.end('failed');
    const exitCode = error instanceof ImageError ? EXIT.notRead : EXIT.failed;
    throw new Failure(`error while comparing: ${reasonOf(error)}`, exitCode);
  }
}

interface Pair {
  readonly first: KnownImage;
  readonly second: KnownImage;
}

async function openPair(line: CommandLine, first: string, second: string): Promise<Pair> {
  const asOptions = line.has('image-opts');
  const open = async (name: string, format: string | undefined): Promise<KnownImage> => {
    const image = await knownImage(readImageName(name, { asOptions, format }));
    await closeLayers(await openLayers(image));
    return image;
  };
  try {
    return {
      first: await open(first, line.value('first-format')),
      second: await open(second, line.value('second-format')),
    };
  } catch (error) {
    throw withExitCode(error, EXIT.notOpened);
  }
}

interface Comparing {
  readonly strict: boolean;
  readonly say: (text: string) => void;
  readonly onPercent: (percent: number) => void;
}

async function comparePair(pair: Pair, how: Comparing): Promise<number> {
  const sizes = await sizesOf(pair);
  const sameSize = sizes.first === sizes.second;
  if (!sameSize && how.strict) {
    how.say('Strict mode: Image size mismatch!');
    return EXIT.different;
  }
  const comparison = await compareFiles(imageFile(pair.first), imageFile(pair.second), {
    callingThread: 'works',
    onProgress: ({ percent }) => how.onPercent(percent),
  });
  const difference = comparison.firstDifference;
  const mismatch = how.strict ? await statusMismatch(pair) : undefined;
  if (mismatch !== undefined && (difference === undefined || mismatch <= difference)) {
    how.say(`Strict mode: Offset ${mismatch} block status mismatch!`);
    return EXIT.different;
  }
  const isInCommon = difference !== undefined && difference < Math.min(sizes.first, sizes.second);
  if (!sameSize && !isInCommon) how.say('Warning: Image size mismatch!');
  if (difference === undefined) return EXIT.same;
  how.say(`Content mismatch at offset ${Math.floor(difference / SECTOR_SIZE) * SECTOR_SIZE}!`);
  return EXIT.different;
}

async function sizesOf({ first, second }: Pair): Promise<{ readonly first: number; readonly second: number }> {
  return { first: await sizeOf(first), second: await sizeOf(second) };
}

async function sizeOf(image: KnownImage): Promise<number> {
  const disk = await openImageFile(imageFile(image));
  await disk.close();
  return Math.ceil(disk.virtualSize / SECTOR_SIZE) * SECTOR_SIZE;
}

/** The first guest byte that one image stores, or says to be zeros, otherwise than the other. */
async function statusMismatch(pair: Pair): Promise<number | undefined> {
  const opened: Layer[][] = [];
  try {
    opened.push(await openLayers(pair.first), await openLayers(pair.second));
    const [first, second] = opened.map((layers) => blockStatus(layers, { offset: 0, length: countedSize(layers) }));
    return first === undefined || second === undefined ? undefined : await firstMismatch(first, second);
  } finally {
    for (const layers of opened) await closeLayers(layers);
  }
}

async function firstMismatch(
  first: AsyncGenerator<BlockStatus>,
  second: AsyncGenerator<BlockStatus>,
): Promise<number | undefined> {
  let one = await nextOf(first);
  let other = await nextOf(second);
  while (one !== undefined && other !== undefined) {
    if (one.present !== other.present || one.zero !== other.zero || one.data !== other.data) {
      return Math.max(one.start, other.start);
    }
    const oneEnd = one.start + one.length;
    const otherEnd = other.start + other.length;
    if (oneEnd <= otherEnd) one = await nextOf(first);
    if (otherEnd <= oneEnd) other = await nextOf(second);
  }
  return undefined;
}

async function nextOf(statuses: AsyncGenerator<BlockStatus>): Promise<BlockStatus | undefined> {
  const { value, done } = await statuses.next();
  return done === true ? undefined : value;
}
