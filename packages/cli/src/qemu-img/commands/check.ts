import type { CheckReport, DiskImage } from '@diskmorph/disk-image';
import { alignUp, ImageError } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { checkCacheMode, outputFormat, readCommandLine } from '../arguments/given-options.ts';
import { couldNotOpen, Failure, usageFailure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, knownImage, openGuestDisk, openLocation } from '../image/image-source.ts';
import { requireChain } from '../image/layers.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import type { Json } from '../text/json-text.ts';
import { jsonText } from '../text/json-text.ts';
import { note, out } from '../text/output.ts';
import { roundHalfEven } from '../text/size-text.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', long: 'format', takes: 'value' },
  { short: 'r', long: 'repair', takes: 'value' },
  { long: 'output', takes: 'value' },
  { short: 'q', long: 'quiet', takes: 'nothing' },
  { short: 'T', takes: 'value' },
  { long: 'image-opts', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
];

const EXIT = { ok: 0, failed: 1, corrupt: 2, leaks: 3, unsupported: 63 } as const;

/** Which numbers qemu-img has for a format: `full`, or only that there was no error. */
const COUNTED: Readonly<Record<string, readonly (keyof CheckReport)[]>> = {
  qcow2: ['imageEndOffset', 'totalUnits', 'allocatedUnits', 'compressedUnits', 'fragmentedUnits'],
  qed: ['totalUnits', 'allocatedUnits', 'fragmentedUnits'],
  parallels: ['imageEndOffset', 'totalUnits', 'allocatedUnits', 'fragmentedUnits'],
  vmdk: [],
  vdi: [],
  vhdx: [],
};

/** `qemu-img check`. Exit codes: 0 sound, 1 not checked, 2 corrupt, 3 leaks only, 63 not for this format. */
export async function check(args: readonly string[]): Promise<number> {
  const line = readCommandLine('check', args, OPTIONS);
  const scope = repairScope(line);
  const output = outputFormat(line);
  checkCacheMode(line.value('T'), 'source cache');
  const [name, ...more] = line.operands;
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const reading = { asOptions: line.has('image-opts'), format: line.value('format') };
  const image = await knownImage(readImageName(name, reading));
  await requireChain(image);
  const driver = qemuName(image.format.name);
  if (COUNTED[driver] === undefined) {
    await examineImage(image);
    throw new Failure('This image format does not support checks', EXIT.unsupported);
  }
  const result = scope === undefined ? { report: await checkImage(image) } : await repair(image, scope);
  show(image, result, { output, quiet: line.has('quiet') });
  return exitCode(result.report);
}

function repairScope(line: CommandLine): 'leaks' | 'all' | undefined {
  const given = line.value('repair');
  if (given === undefined || given === 'leaks' || given === 'all') return given;
  throw usageFailure(`Unknown option value for -r (expecting 'leaks' or 'all'): ${given}`);
}

interface CheckResult {
  readonly report: CheckReport;
  /** What a repair has mended. */
  readonly fixed?: { readonly leaks: number; readonly corruptions: number };
}

async function checkImage(image: KnownImage): Promise<CheckReport> {
  const { info } = await examineImage(image);
  refuseEncrypted(image, info.encryption);
  if (image.format.check === undefined || info.format === 'vmdk') return checkByReading(image);
  const source = openLocation(image.location);
  try {
    return await image.format.check(source);
  } catch (error) {
    throw couldNotOpen(image.location.given, error);
  } finally {
    await source.close();
  }
}

function refuseEncrypted(image: KnownImage, encryption: string | undefined): void {
  if (encryption === undefined) return;
  throw new Failure(`Could not open '${image.location.given}': Parameter 'encrypt.key-secret' is required for cipher`);
}

/** Where there is no check of its own: the maps of all files of the image are read, and where they point is tested. */
async function checkByReading(image: KnownImage): Promise<CheckReport> {
  const disk = await openGuestDisk({ ...image, location: { ...image.location, hasBacking: false } });
  try {
    return { corruptions: 0, leaks: 0, findings: [], ...(await countUnits(disk)) };
  } catch (error) {
    if (!(error instanceof ImageError) || error.code === 'io') throw error;
    return { corruptions: 1, leaks: 0, findings: [{ code: error.code, severity: 'unsafe', message: error.message }] };
  } finally {
    await disk.close();
  }
}

/** Allocation units of the disk, those that are stored, and those that do not follow the stored one before them. */
async function countUnits(disk: DiskImage): Promise<Partial<CheckReport>> {
  const unitSize = disk.info.unitSize ?? disk.virtualSize;
  let allocatedUnits = 0;
  let fragmentedUnits = 0;
  // Its header takes a unit of its own.
  let imageEndOffset = unitSize;
  let next: number | undefined;
  for await (const { length, hostOffset, state } of disk.extents({ offset: 0, length: disk.virtualSize })) {
    if (state !== 'data' || hostOffset === undefined) continue;
    allocatedUnits += Math.ceil(length / unitSize);
    if (next !== undefined && next !== hostOffset) fragmentedUnits++;
    next = hostOffset + length;
    imageEndOffset = Math.max(imageEndOffset, hostOffset + alignUp(length, unitSize));
  }
  const totalUnits = Math.ceil(disk.virtualSize / unitSize);
  return { totalUnits, allocatedUnits, fragmentedUnits, imageEndOffset };
}

async function repair(image: KnownImage, scope: 'leaks' | 'all'): Promise<CheckResult> {
  const mend = image.format.editor?.repair;
  if (mend === undefined) {
    const report = await checkImage(image);
    if (report.corruptions === 0 && report.leaks === 0) return { report };
    throw new Failure(`Images of the format ${qemuName(image.format.name)} cannot be repaired`);
  }
  const done = await withWritableFile(image.location.path, image.location.given, (file) => mend(file, scope));
  noteFindings(done.before);
  return { report: done.after, fixed: { leaks: done.leaksFixed, corruptions: done.corruptionsFixed } };
}

function noteFindings(report: CheckReport): void {
  for (const { message, severity } of report.findings) {
    const counts = /^Cluster (\d+) .*refcount (\d+), references (\d+)/.exec(message);
    const known = counts === null ? message : `cluster ${counts[1]} refcount=${counts[2]} reference=${counts[3]}`;
    if (severity === 'unsafe') note(`ERROR ${known}\n`);
    else note(counts === null ? `${known}\n` : `Leaked ${known}\n`);
  }
}

function show(
  image: KnownImage,
  result: CheckResult,
  how: { readonly output: 'human' | 'json'; readonly quiet: boolean },
): void {
  noteFindings(result.report);
  const numbers = shownNumbers(image, result);
  if (how.output === 'json') out(`${jsonText(jsonReport(image, numbers))}\n`);
  else if (!how.quiet) out(humanReport(numbers));
}

/** Counts by name; what a format does not count is 0, as in qemu-img. */
interface ShownNumbers {
  readonly corruptions: number;
  readonly leaks: number;
  readonly fixed: CheckResult['fixed'];
  readonly imageEndOffset: number;
  readonly total: number;
  readonly allocated: number;
  readonly compressed: number;
  readonly fragmented: number;
}

function shownNumbers(image: KnownImage, { report, fixed }: CheckResult): ShownNumbers {
  const counted = COUNTED[qemuName(image.format.name)] ?? [];
  const count = (field: keyof CheckReport): number => {
    const value = counted.includes(field) ? report[field] : undefined;
    return typeof value === 'number' ? value : 0;
  };
  return {
    corruptions: report.corruptions,
    leaks: report.leaks,
    fixed,
    imageEndOffset: count('imageEndOffset'),
    total: count('totalUnits'),
    allocated: count('allocatedUnits'),
    compressed: count('compressedUnits'),
    fragmented: count('fragmentedUnits'),
  };
}

function unlessZero(count: number | undefined): number | undefined {
  return count === 0 ? undefined : count;
}

/** The members in the order in which qemu-img 7.2 writes them; counts of nothing are left out. */
function jsonReport({ location, format }: KnownImage, numbers: ShownNumbers): Json {
  return {
    'image-end-offset': unlessZero(numbers.imageEndOffset),
    'compressed-clusters': unlessZero(numbers.compressed),
    'total-clusters': unlessZero(numbers.total),
    corruptions: unlessZero(numbers.corruptions),
    'check-errors': 0,
    leaks: unlessZero(numbers.leaks),
    'leaks-fixed': unlessZero(numbers.fixed?.leaks),
    'corruptions-fixed': unlessZero(numbers.fixed?.corruptions),
    'allocated-clusters': unlessZero(numbers.allocated),
    filename: location.given,
    format: qemuName(format.name),
    'fragmented-clusters': unlessZero(numbers.fragmented),
  };
}

function humanReport(numbers: ShownNumbers): string {
  const { corruptions, leaks, fixed, total, allocated, imageEndOffset } = numbers;
  let text = '';
  if (fixed !== undefined && fixed.leaks + fixed.corruptions > 0) {
    text += `The following inconsistencies were found and repaired:\n\n    ${fixed.leaks} leaked clusters\n    ${fixed.corruptions} corruptions\n\nDouble checking the fixed image now...\n`;
  }
  if (corruptions > 0) {
    text += `\n${corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n`;
  }
  if (leaks > 0) {
    text += `\n${leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n`;
  }
  if (corruptions + leaks === 0) text += 'No errors were found on the image.\n';
  if (total > 0 && allocated > 0) {
    text += `${allocated}/${total} = ${percent(allocated, total)}% allocated, ${percent(numbers.fragmented, allocated)}% fragmented, ${percent(numbers.compressed, allocated)}% compressed clusters\n`;
  }
  if (imageEndOffset > 0) text += `Image end offset: ${imageEndOffset}\n`;
  return text;
}

function percent(part: number, whole: number): string {
  return roundHalfEven((part * 100) / whole, 2).toFixed(2);
}

function exitCode(report: CheckReport): number {
  if (report.corruptions > 0) return EXIT.corrupt;
  return report.leaks > 0 ? EXIT.leaks : EXIT.ok;
}
