import type { BitmapEditor, WritableImageFile } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { readCommandLine } from '../arguments/given-options.ts';
import { requireByteCount } from '../arguments/size.ts';
import { Failure, reasonOf, usageFailure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import { examineImage, knownImage } from '../image/image-source.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import { parseLine } from '../arguments/getopt.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'b', takes: 'value' },
  { short: 'f', takes: 'value' },
  { short: 'F', takes: 'value' },
  { short: 'g', takes: 'value' },
  { long: 'image-opts', takes: 'nothing' },
  { long: 'add', takes: 'nothing' },
  { long: 'remove', takes: 'nothing' },
  { long: 'clear', takes: 'nothing' },
  { long: 'enable', takes: 'nothing' },
  { long: 'disable', takes: 'nothing' },
  { long: 'merge', takes: 'value' },
];

const ACTIONS: ReadonlySet<string> = new Set(['add', 'remove', 'clear', 'enable', 'disable', 'merge']);

/** `qemu-img bitmap`: changes persistent bitmaps, each action in the order given. */
export async function bitmap(args: readonly string[]): Promise<number> {
  const line = readCommandLine('bitmap', args, OPTIONS);
  const actions = parseLine(['bitmap', ...args], [...OPTIONS, { long: 'object', takes: 'value' }]).options.filter(
    ({ name }) => ACTIONS.has(name),
  );
  if (actions.length === 0) {
    throw new Failure('Need at least one of --add, --remove, --clear, --enable, --disable, or --merge');
  }
  if (line.value('g') !== undefined && !line.has('add')) throw new Failure('granularity only supported with --add');
  if (line.value('b') !== undefined && !line.has('merge'))
    throw new Failure('Merge bitmap source file only supported with --merge');
  if (line.value('b') !== undefined) throw new Failure('Bitmaps of another file cannot be merged');
  const [fileName, name, ...more] = line.operands;
  if (fileName === undefined || name === undefined || more.length > 0) {
    if (line.operands.length > 2) throw usageFailure('Expecting filename and bitmap name');
    throw new Failure('Expecting filename and bitmap name');
  }
  const image = await knownImage(
    readImageName(fileName, { asOptions: line.has('image-opts'), format: line.value('f') }),
  );
  await examineImage(image);
  const editor = image.format.editor?.bitmaps;
  const { location } = image;
  await withWritableFile(location.path, location.given, async (file) => {
    for (const action of actions) {
      const failing = `Operation ${action.name} on bitmap ${name} failed`;
      if (editor === undefined) {
        throw new Failure(`${failing}: Images of the format ${qemuName(image.format.name)} hold no bitmaps`);
      }
      try {
        await perform(editor, file, { line, action, name });
      } catch (error) {
        throw new Failure(`${failing}: ${reasonOfBitmap(error, name)}`);
      }
    }
  });
  return 0;
}

/** Callers look for these words. */
function reasonOfBitmap(error: unknown, name: string): string {
  const reason = reasonOf(error);
  if (reason.startsWith('There is a bitmap')) return `Bitmap already exists: ${name}`;
  return reason.startsWith('The image has no bitmap') ? `Dirty bitmap '${name}' not found` : reason;
}

interface BitmapAction {
  readonly line: CommandLine;
  readonly action: { readonly name: string; readonly value: string };
  readonly name: string;
}

async function perform(editor: BitmapEditor, file: WritableImageFile, asked: BitmapAction): Promise<void> {
  const { line, action, name } = asked;
  if (action.name === 'remove') await editor.remove(file, name);
  else if (action.name === 'clear') await editor.clear(file, name);
  else if (action.name === 'enable') await editor.enable(file, name);
  else if (action.name === 'disable') await editor.disable(file, name);
  else if (action.name === 'merge') await editor.merge(file, name, action.value);
  else {
    const given = line.value('g');
    const granularity = given === undefined ? undefined : requireGranularity(requireByteCount(given, 'granularity'));
    await editor.add(file, { name, granularity, state: 'enabled' });
  }
}

const MIN_GRANULARITY = 512;

function requireGranularity(bytes: number): number {
  if (bytes >= MIN_GRANULARITY && Number.isInteger(Math.log2(bytes))) return bytes;
  throw new Failure('Granularity must be power of 2 and at least 512');
}
