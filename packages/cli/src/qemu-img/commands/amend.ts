import type { OptionSpec } from '../arguments/getopt.ts';
import { checkCacheMode, readCommandLine } from '../arguments/given-options.ts';
import { asksForHelp, readCreateOptions } from '../create/given-create-options.ts';
import { allOptions } from '../create/option-table.ts';
import { Failure, reasonOf, usageFailure } from '../failure.ts';
import { findDriver, qemuName } from '../format-names.ts';
import { listedBitmaps, refuseInconsistent } from '../image/bitmap-list.ts';
import { examineImage, imageFile, knownImage } from '../image/image-source.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import { out } from '../text/output.ts';
import { progressText } from '../text/progress.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 'o', takes: 'value' },
  { short: 't', takes: 'value' },
  { short: 'p', takes: 'nothing' },
  { short: 'q', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
  { long: 'force', takes: 'nothing' },
];

/** What of a qcow2 image can be changed after it was made. */
const AMENDABLE: ReadonlySet<string> = new Set([
  'backing_file',
  'backing_fmt',
  'compat',
  'data_file',
  'data_file_raw',
  'lazy_refcounts',
  'refcount_bits',
  'size',
]);

/** `qemu-img amend`: changes options of an image in place. */
export async function amend(args: readonly string[]): Promise<number> {
  const line = readCommandLine('amend', args, OPTIONS);
  checkCacheMode(line.value('t'), 'cache');
  const given = line.values('o');
  if (given.length === 0) throw usageFailure('Must specify options (-o)');
  if (asksForHelp(given)) return showHelp(line.value('f') ?? 'raw');
  const [name, ...more] = line.operands;
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const image = await knownImage(readImageName(name, { asOptions: line.has('image-opts'), format: line.value('f') }));
  const { info } = await examineImage(image);
  const driver = qemuName(image.format.name);
  const edit = image.format.editor?.amend;
  if (edit === undefined) throw new Failure(`Format driver '${driver}' does not support option amendment`);
  const values = readCreateOptions(driver, given, '');
  for (const option of values.keys()) {
    if (!AMENDABLE.has(option)) {
      throw new Failure(`Invalid parameter '${option}'\nThis option is only supported for image creation`);
    }
    if (option.startsWith('backing_')) {
      throw new Failure(`Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.`);
    }
  }
  const progress = progressText(line.has('p') && !line.has('q'));
  try {
    if (values.has('size')) for (const bitmap of listedBitmaps(info)) refuseInconsistent(bitmap);
    await withWritableFile(imageFile(image).path, image.location.given, (file) =>
      edit(file, Object.fromEntries(values)),
    );
    progress.end('done');
    return 0;
  } catch (error) {
    progress.end('failed');
    throw new Failure(reasonOf(error));
  }
}

function showHelp(driver: string): number {
  const format = findDriver(driver);
  if (format === undefined) throw new Failure(`Unknown file format '${driver}'`);
  if (format.editor?.amend === undefined)
    throw new Failure(`Format driver '${driver}' does not support option amendment`);
  const lines = allOptions(driver)
    .filter(({ name }) => AMENDABLE.has(name))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, type, help }) => `  ${`${name}=<${type}>`.padEnd(22)} - ${help}\n`);
  out(`Amend options for '${driver}':\n${lines.join('')}`);
  return 0;
}
