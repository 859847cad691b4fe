import { chmod, chown, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { findFormat } from '@diskmorph/disk-image';
import type { Format } from '@diskmorph/disk-image';
import type { ImageFile } from '@diskmorph/disk-image-node';
import { convertFile } from '@diskmorph/disk-image-node';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { checkCacheMode, readCommandLine } from '../arguments/given-options.ts';
import { parseByteCount, malformedSize, requireByteCount } from '../arguments/size.ts';
import { allocateHoles } from '../create/allocate-holes.ts';
import type { CreateValues } from '../create/given-create-options.ts';
import { asksForHelp, readCreateOptions } from '../create/given-create-options.ts';
import { optionHelp } from '../create/option-table.ts';
import type { WriterRequest } from '../create/writer-options.ts';
import { writerRequest } from '../create/writer-options.ts';
import { Failure, reasonOf, systemWords } from '../failure.ts';
import { findDriver, qemuName } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, imageFile, knownImage } from '../image/image-source.ts';
import { fromName, readImageName } from '../image/location.ts';
import { chooseSnapshot, readSnapshotChoice } from '../image/snapshot-choice.ts';
import { note, out } from '../text/output.ts';
import { progressText } from '../text/progress.ts';
import type { BitmapCopy } from './convert-bitmaps.ts';
import { bitmapsToCopy, copyBitmaps, lacksBitmaps } from './convert-bitmaps.ts';
import { convertIntoExisting, convertOntoDevice } from './convert-into-existing.ts';
import { convertOverlay } from './convert-overlay.ts';

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
  /** With `--bitmaps`. */
  readonly bitmaps: BitmapCopy | undefined;
  /** True when threads may be used. */
  readonly threads: boolean;
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
    else if (backingName(job) !== undefined) await convertOverlay(job, progress);
    else await convertIntoNew(job, (percent) => progress.update(percent));
    progress.end('done');
    return 0;
  } catch (error) {
    progress.end('failed');
    throw error instanceof Failure ? error : new Failure(`error while converting: ${reasonOf(error)}`);
  }
}

/** The backing image that the target is to have. */
export function backingName(job: Pick<ConvertJob, 'line' | 'values'>): string | undefined {
  return job.line.value('backing') ?? job.values.get('backing_file');
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
  for (const image of sources) await examineImage(image);
  const source = await sourceFile(line, sources, snapshot);
  const format = findDriver(driver);
  if (format === undefined) throw new Failure(`Unknown file format '${driver}'`);
  if (format.writer === undefined) throw new Failure(`Format driver '${driver}' does not support image creation`);
  const values = readCreateOptions(driver, line.values('o'), '');
  checkTarget(line, driver, values);
  const broken = line.has('skip-broken-bitmaps') ? 'skip' : 'refuse';
  const bitmaps = line.has('bitmaps') ? await bitmapsToCopy(sources, broken) : undefined;
  if (bitmaps !== undefined && !canTakeBitmaps(driver, values)) throw lacksBitmaps(format);
  const request = writerRequest(format, values, {
    compressed: line.has('c'),
    fullyAllocated: parseByteCount(line.value('S') ?? '4k') === 0n,
    refuse: (message) => new Failure(`${target}: error while converting ${driver}: ${message}`),
  });
  const threads = source.onUnreadable === undefined && source.bytesPerSecond === undefined;
  const targetPath = line.has('target-image-opts')
    ? readImageName(target, { asOptions: true, format: undefined }).path
    : fromName(target).path;
  return { line, sources, source, format, target, targetPath, values, request, bitmaps, threads };
}

function checkTarget(line: CommandLine, driver: string, values: CreateValues): void {
  const backing = line.value('backing') ?? values.get('backing_file');
  const backingFormat = line.value('backing-format') ?? values.get('backing_fmt');
  if (backing !== undefined && !OVERLAY_FORMATS.has(driver)) {
    throw new Failure(`Backing file not supported for file format '${driver}'`);
  }
  if (backing !== undefined && backingFormat === undefined) {
    throw new Failure('Use of backing file requires explicit backing format');
  }
}

/** Formats whose images can stand on a backing image that is named when they are made. */
const OVERLAY_FORMATS: ReadonlySet<string> = new Set(['qcow2']);

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

/** Without a format of its own to hold identifiers, the content need not be digested to derive them. */
const WITHOUT_IDENTIFIERS: ReadonlySet<string> = new Set(['raw', 'qcow2']);

/** Converts into a file that appears when it is whole. `onPercent` hears of progress. */
export async function convertIntoNew(
  job: Pick<ConvertJob, 'source' | 'format' | 'target' | 'targetPath' | 'request' | 'bitmaps' | 'threads'>,
  onPercent: (percent: number) => void,
): Promise<void> {
  const { source, format, target, request, bitmaps } = job;
  const driver = qemuName(format.name);
  const { path, before } = await settleTarget(job.targetPath, `${target}: error while converting ${driver}:`);
  if (before?.isBlockDevice() === true) {
    await convertOntoDevice({ source, path, driver, target }, onPercent);
    return;
  }
  const verify = process.env['DISKMORPH_VERIFY'] === '1';
  try {
    const report = await convertFile({
      source,
      target: {
        path,
        format: format.name,
        options: request.options,
        ...(driver === 'raw' ? { sizeMultiple: SECTOR_SIZE } : {}),
      },
      overwrite: true,
      verify,
      digest: !WITHOUT_IDENTIFIERS.has(driver),
      ...(job.threads ? {} : { workers: 0 }),
      onProgress: ({ phase, percent }) => {
        if (phase === 'copy') onPercent(percent);
      },
      ...(bitmaps === undefined ? {} : { adjust: ([made = '']) => copyBitmaps(bitmaps, made, { format }) }),
    });
    if (request.allocateFile) for (const file of report.files) await allocateHoles(file.path);
    if (before !== undefined) await restoreOwner(path, before);
  } catch (error) {
    throw failureOfConversion(error, job);
  }
}

function failureOfConversion(error: unknown, { target, format }: Pick<ConvertJob, 'target' | 'format'>): Failure {
  const words = systemWords(error);
  const prefix = `${target}: error while converting ${qemuName(format.name)}:`;
  if (error instanceof Error && error.message.startsWith('Cannot write beside') && words !== undefined) {
    return new Failure(`${prefix} Could not create '${target}': ${words}`);
  }
  return new Failure(`${prefix} ${reasonOf(error)}`);
}

/** Where the target really lies, and what is there. Throws a failure for what cannot become an image. */
export async function settleTarget(
  given: string,
  prefix: string,
): Promise<{ readonly path: string; readonly before: Stats | undefined }> {
  const path = await realpath(given).catch(() => given);
  const before = await stat(path).catch(() => undefined);
  if (before === undefined || before.isFile() || before.isBlockDevice()) return { path, before };
  const why = before.isDirectory() ? 'Is a directory' : 'it is neither a file nor a block device';
  throw new Failure(`${prefix} Could not create '${given}': ${why}`);
}

/** A replaced file keeps its mode and, as far as this process may, its owner. */
async function restoreOwner(path: string, before: Stats): Promise<void> {
  await chmod(path, before.mode & 0o7777).catch(() => undefined);
  const now = await stat(path);
  if (now.uid !== before.uid || now.gid !== before.gid)
    await chown(path, before.uid, before.gid).catch(() => undefined);
}

/** The raw format, for commands that copy bytes. */
export function rawFormat(): Format {
  const raw = findFormat('raw');
  if (raw === undefined) throw new Error('assertion failed: raw is a format');
  return raw;
}
