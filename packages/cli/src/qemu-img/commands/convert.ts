import type { Format, ZeroRule } from '@diskmorph/disk-image';
import type { Durability, ImageFile } from '@diskmorph/disk-image-node';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { checkCacheMode, readCommandLine } from '../arguments/given-options.ts';
import { parseByteCount, malformedSize, requireByteCount } from '../arguments/size.ts';
import type { CreateValues } from '../create/given-create-options.ts';
import { asksForHelp, readCreateOptions } from '../create/given-create-options.ts';
import { optionHelp } from '../create/option-table.ts';
import type { WriterRequest } from '../create/writer-options.ts';
import { writerRequest } from '../create/writer-options.ts';
import { Failure, reasonOf } from '../failure.ts';
import { findDriver, qemuName } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, imageFile, knownImage } from '../image/image-source.ts';
import { requireChain } from '../image/layers.ts';
import { fromName, readImageName } from '../image/location.ts';
import { chooseSnapshot, readSnapshotChoice } from '../image/snapshot-choice.ts';
import { note, out } from '../text/output.ts';
import { progressText } from '../text/progress.ts';
import type { BitmapCopy } from './convert-bitmaps.ts';
import { bitmapsToCopy, lacksBitmaps } from './convert-bitmaps.ts';
import { convertIntoExisting } from './convert-into-existing.ts';
import { convertIntoNew } from './convert-into-new.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', long: 'source-format', takes: 'value' },
  { short: 'O', long: 'target-format', takes: 'value' },
  { short: 'B', long: 'backing', takes: 'value' },
  { short: 'F', long: 'backing-format', takes: 'value' },
  { short: 'C', takes: 'nothing' },
  { short: 'c', takes: 'nothing' },
  { short: 'o', takes: 'value' },
  { short: 'l', takes: 'value' },
  { short: 'S', takes: 'value' },
  { short: 'p', takes: 'nothing' },
  { short: 't', takes: 'value' },
  { short: 'T', takes: 'value' },
  { short: 'q', takes: 'nothing' },
  { short: 'n', takes: 'nothing' },
  { short: 'm', takes: 'value' },
  { short: 'W', takes: 'nothing' },
  { short: 'r', long: 'rate-limit', takes: 'value' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
  { long: 'target-image-opts', takes: 'nothing' },
  { long: 'salvage', takes: 'nothing' },
  { long: 'target-is-zero', takes: 'nothing' },
  { long: 'bitmaps', takes: 'nothing' },
  { long: 'skip-broken-bitmaps', takes: 'nothing' },
];

/** What is to be converted into what, when everything has been looked at. */
export interface ConvertJob {
  readonly line: CommandLine;
  readonly sources: readonly KnownImage[];
  /** All sources as one; plain data. */
  readonly source: ImageFile;
  readonly format: Format;
  /** The name as it was given. */
  readonly target: string;
  readonly targetPath: string;
  readonly values: CreateValues;
  readonly request: WriterRequest;
  /** With `-B`: the image that the target is to stand on, as its header will name it. */
  readonly backing: { readonly name: string; readonly format: string } | undefined;
  /** With `-S`. */
  readonly zeroRule: ZeroRule | undefined;
  /** With `--bitmaps`. */
  readonly bitmaps: BitmapCopy | undefined;
  /** True when threads may be used. */
  readonly threads: boolean;
  /** `cached` with the cache mode that never flushes, which is the usual one. */
  readonly durability: Durability;
}

/** `qemu-img convert`. */
export async function convert(args: readonly string[]): Promise<number> {
  const line = readCommandLine('convert', args, OPTIONS);
  const driver = line.value('target-format') ?? 'raw';
  if (asksForHelp(line.values('o'))) return showHelp(line, driver);
  checkChoices(line);
  const [target, ...rest] = [...line.operands].reverse();
  if (target === undefined || rest.length === 0) throw new Failure('Must specify image file name');
  const job = await prepare(line, { names: rest.reverse(), target, driver });
  const progress = progressText(line.has('p') && !line.has('q'));
  try {
    if (line.has('n')) await convertIntoExisting(job, progress);
    else await convertIntoNew(job, (percent) => progress.update(percent));
    progress.end('done');
    return 0;
  } catch (error) {
    progress.end('failed');
    throw error instanceof Failure ? error : new Failure(`error while converting: ${reasonOf(error)}`);
  }
}

function showHelp(line: CommandLine, driver: string): number {
  if (findDriver(driver) === undefined) throw new Failure(`Unknown file format '${driver}'`);
  out(optionHelp(driver, line.operands.length > 1 ? 'target' : 'format'));
  return 0;
}

const MAX_SPARSE_SIZE = 16 * 2 ** 20;
const SECTOR_SIZE = 512;
const MAX_COROUTINES = 16;

function checkChoices(line: CommandLine): void {
  const sparse = line.value('S');
  if (sparse !== undefined) checkSparseSize(sparse);
  const coroutines = line.value('m');
  if (coroutines !== undefined && !isFromOneTo(coroutines, MAX_COROUTINES)) {
    throw new Failure('Invalid number of coroutines. Allowed number of coroutines is between 1 and 16');
  }
  const rate = line.value('rate-limit');
  if (rate !== undefined && typeof parseByteCount(rate) !== 'bigint')
    throw malformedSize('Invalid rate limit specified.');
  if (line.has('skip-broken-bitmaps') && !line.has('bitmaps')) {
    throw new Failure('Use of --skip-broken-bitmaps requires --bitmaps');
  }
  if (line.has('target-image-opts') && !line.has('n')) throw new Failure('--target-image-opts requires use of -n flag');
  if (line.has('target-is-zero') && !line.has('n')) throw new Failure('--target-is-zero requires use of -n flag');
  if (line.has('C')) checkCopyOffload(line, sparse);
  checkCacheMode(line.value('t'), 'cache');
  checkCacheMode(line.value('T'), 'source cache');
  if (line.has('image-opts') && line.has('source-format')) {
    throw new Failure('--image-opts and --format are mutually exclusive');
  }
}

function checkSparseSize(given: string): void {
  const bytes = parseByteCount(given);
  const valid = typeof bytes === 'bigint' && bytes % BigInt(SECTOR_SIZE) === 0n && bytes <= BigInt(MAX_SPARSE_SIZE);
  if (valid) return;
  throw new Failure(
    `Invalid buffer size for sparse output specified. Valid sizes are multiples of ${SECTOR_SIZE} up to ` +
      `${MAX_SPARSE_SIZE}. Select 0 to disable sparse detection (fully allocates output).`,
  );
}

function isFromOneTo(text: string, most: number): boolean {
  return /^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= most;
}

function checkCopyOffload(line: CommandLine, sparse: string | undefined): void {
  if (line.has('salvage')) throw new Failure('Cannot use copy offloading in salvaging mode');
  if (line.has('c')) throw new Failure('Cannot enable copy offloading when -c is used');
  if (sparse !== undefined) throw new Failure('Cannot enable copy offloading when -S is used');
}

interface Names {
  readonly names: readonly string[];
  readonly target: string;
  readonly driver: string;
}

async function prepare(line: CommandLine, { names, target, driver }: Names): Promise<ConvertJob> {
  const snapshot = line.value('l');
  if (snapshot !== undefined && names.length > 1) throw new Failure('No support for concatenating multiple snapshot');
  if (line.has('n') && line.has('o')) throw new Failure('-o has no effect when skipping image creation');
  const reading = { asOptions: line.has('image-opts'), format: line.value('source-format') };
  const sources: KnownImage[] = [];
  for (const name of names) sources.push(await knownImage(readImageName(name, reading)));
  for (const image of sources) {
    await examineImage(image);
    await requireChain(image);
  }
  const source = await sourceFile(line, sources, snapshot);
  const format = findDriver(driver);
  if (format === undefined) throw new Failure(`Unknown file format '${driver}'`);
  if (format.writer === undefined) throw new Failure(`Format driver '${driver}' does not support image creation`);
  const given = readCreateOptions(driver, line.values('o'), '');
  const backing = backingOf(line, driver, given);
  const values = backing === undefined ? given : withBacking(given, backing);
  const broken = line.has('skip-broken-bitmaps') ? 'skip' : 'refuse';
  const bitmaps = line.has('bitmaps') ? await bitmapsToCopy(sources, broken) : undefined;
  if (bitmaps !== undefined && !canTakeBitmaps(driver, values)) throw lacksBitmaps(format);
  const request = writerRequest(format, values, {
    compressed: line.has('c'),
    refuse: (message) => new Failure(`${target}: error while converting ${driver}: ${message}`),
  });
  const durability = (line.value('t') ?? 'unsafe') === 'unsafe' ? 'cached' : 'flushed';
  const threads = source.onUnreadable === undefined && source.bytesPerSecond === undefined;
  const targetPath = line.has('target-image-opts')
    ? readImageName(target, { asOptions: true, format: undefined }).path
    : fromName(target).path;
  const zeroRule = zeroRuleOf(line);
  return {
    line,
    sources,
    source,
    format,
    target,
    targetPath,
    values,
    request,
    backing,
    zeroRule,
    bitmaps,
    threads,
    durability,
  };
}

function backingOf(line: CommandLine, driver: string, values: CreateValues): ConvertJob['backing'] {
  const name = line.value('backing') ?? values.get('backing_file');
  const format = line.value('backing-format') ?? values.get('backing_fmt');
  if (name === undefined) return undefined;
  if (!OVERLAY_FORMATS.has(driver)) throw new Failure(`Backing file not supported for file format '${driver}'`);
  if (format === undefined) throw new Failure('Use of backing file requires explicit backing format');
  return { name, format };
}

function withBacking(values: CreateValues, backing: NonNullable<ConvertJob['backing']>): CreateValues {
  return new Map([...values, ['backing_file', backing.name], ['backing_fmt', backing.format]]);
}

function zeroRuleOf(line: CommandLine): ZeroRule | undefined {
  const least = line.value('S');
  return least === undefined ? undefined : { least: Number(parseByteCount(least)) };
}

/** Formats whose images can stand on a backing image that is named when they are made. */
const OVERLAY_FORMATS: ReadonlySet<string> = new Set(['qcow2', 'vmdk']);

/** Whether a new image can have bitmaps. */
function canTakeBitmaps(driver: string, values: CreateValues): boolean {
  return driver === 'qcow2' && values.get('compat') !== '0.10' && values.get('compat') !== 'v2';
}

async function sourceFile(
  line: CommandLine,
  sources: readonly KnownImage[],
  snapshot: string | undefined,
): Promise<ImageFile> {
  const [first, ...others] = sources;
  if (first === undefined) throw new Failure('Must specify image file name');
  const rate = line.value('rate-limit');
  const file = imageFile(first, snapshot === undefined ? undefined : await snapshotId(first, snapshot));
  return {
    ...file,
    ...(others.length === 0 ? {} : { followedBy: others.map((other) => imageFile(other)) }),
    ...(rate === undefined ? {} : { bytesPerSecond: requireByteCount(rate, 'rate limit') }),
    ...(line.has('salvage') ? { onUnreadable: reportUnreadable(line.has('q')) } : {}),
  };
}

function reportUnreadable(quiet: boolean): (offset: number, error: unknown) => void {
  return (offset, error) => {
    if (!quiet) note(`qemu-img: warning: error while reading offset ${offset}: ${reasonOf(error)}\n`);
  };
}

async function snapshotId(image: KnownImage, given: string): Promise<string> {
  const choice = readSnapshotChoice(given);
  if (image.format.name !== 'qcow2') {
    const driver = qemuName(image.format.name);
    throw new Failure(
      `Failed to load snapshot: Block format '${driver}' used by device '' does not support temporarily loading internal snapshots`,
    );
  }
  return chooseSnapshot((await examineImage(image)).info.snapshots, choice);
}
