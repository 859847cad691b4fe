import type { BitmapEditor, ByteSource, ImageInfo, WritableImageFile } from '@diskmorph/disk-image';
import { alignUp } from '@diskmorph/disk-image';
import type { GivenOption, OptionSpec } from '../arguments/getopt.ts';
import { parseLine } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { readCommandLine } from '../arguments/given-options.ts';
import { requireByteCount } from '../arguments/size.ts';
import { Failure, reasonOf } from '../failure.ts';
import type { ListedBitmap } from '../image/bitmap-list.ts';
import { canHoldBitmaps, differentSizes, listedBitmaps, refuseInconsistent } from '../image/bitmap-list.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, knownImage, openLocation } from '../image/image-source.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'source-file', takes: 'value' },
  { short: 'f', takes: 'value' },
  { short: 'F', long: 'source-format', takes: 'value' },
  { short: 'g', long: 'granularity', takes: 'value' },
  { long: 'image-opts', takes: 'nothing' },
  { long: 'add', takes: 'nothing' },
  { long: 'remove', takes: 'nothing' },
  { long: 'clear', takes: 'nothing' },
  { long: 'enable', takes: 'nothing' },
  { long: 'disable', takes: 'nothing' },
  { long: 'merge', takes: 'value' },
];

const ACTIONS: ReadonlySet<string> = new Set(['add', 'remove', 'clear', 'enable', 'disable', 'merge']);
const SECTOR_SIZE = 512;

/** `qemu-img bitmap`: changes persistent bitmaps, each action in the order given; those before a failure stay. */
export async function bitmap(args: readonly string[]): Promise<number> {
  const line = readCommandLine('bitmap', args, OPTIONS);
  const given = parseLine(['bitmap', ...args], [...OPTIONS, { long: 'object', takes: 'value' }]).options;
  const actions = given.filter((option) => ACTIONS.has(option.name));
  const granularity = givenGranularity(line);
  checkChoices(line, actions);
  const [fileName = '', name = ''] = line.operands;
  const image = await knownImage(
    readImageName(fileName, { asOptions: line.has('image-opts'), format: line.value('f') }),
  );
  await examineImage(image);
  const origin = await givenOrigin(line);
  await withWritableFile(image.location.path, image.location.given, async (file) => {
    for (const action of actions) await perform({ image, file, name, granularity, origin }, action);
  });
  return 0;
}

/** Undefined when none is given; so is 0, which stands for the default. */
function givenGranularity(line: CommandLine): number | undefined {
  const given = line.value('granularity');
  return given === undefined ? undefined : requireByteCount(given, 'granularity') || undefined;
}

function checkChoices(line: CommandLine, actions: readonly GivenOption[]): void {
  if (actions.length === 0) {
    throw new Failure('Need at least one of --add, --remove, --clear, --enable, --disable, or --merge');
  }
  if (line.value('granularity') !== undefined && !line.has('add')) {
    throw new Failure('granularity only supported with --add');
  }
  if (line.value('source-file') !== undefined && !line.has('merge')) {
    throw new Failure('Merge bitmap source file only supported with --merge');
  }
  if (line.value('source-format') !== undefined && line.value('source-file') === undefined) {
    throw new Failure('-F only supported with -b');
  }
  if (line.operands.length !== 2) throw new Failure('Expecting filename and bitmap name');
}

/** The image of `-b`. Throws a failure when it cannot be opened. */
async function givenOrigin(line: CommandLine): Promise<KnownImage | undefined> {
  const name = line.value('source-file');
  if (name === undefined) return undefined;
  const origin = await knownImage(readImageName(name, { asOptions: false, format: line.value('source-format') }));
  await examineImage(origin);
  return origin;
}

/** What an action works on. */
interface BitmapWork {
  readonly image: KnownImage;
  readonly file: WritableImageFile;
  readonly name: string;
  readonly granularity: number | undefined;
  readonly origin: KnownImage | undefined;
}

async function perform(work: BitmapWork, action: GivenOption): Promise<void> {
  try {
    if (action.name === 'add') await add(work);
    else if (action.name === 'merge') await merge(work, action.value);
    else await change(work, action.name);
  } catch (error) {
    throw new Failure(`Operation ${action.name} on bitmap ${work.name} failed: ${reasonOf(error)}`);
  }
}

const MIN_GRANULARITY = 512;
const MAX_GRANULARITY = 2 ** 31;
const MAX_NAME_LENGTH = 1023;

async function add({ image, file, name, granularity }: BitmapWork): Promise<void> {
  const info = await infoOf(image, file.source);
  if (name === '') throw new Failure('Bitmap name cannot be empty');
  if (granularity !== undefined && !isGranularity(granularity)) {
    throw new Failure('Granularity must be power of 2 and at least 512');
  }
  if (listedBitmaps(info).some((bitmap) => bitmap.name === name)) throw new Failure(`Bitmap already exists: ${name}`);
  if (info.format !== 'qcow2') {
    throw new Failure(`Can't store persistent bitmaps to ${image.location.given}: Operation not supported`);
  }
  const failing = `Can't make bitmap '${name}' persistent in '${image.location.given}'`;
  if (!canHoldBitmaps(info)) throw new Failure(`${failing}: Cannot store dirty bitmaps in qcow2 v2 files`);
  if (Buffer.byteLength(name) > MAX_NAME_LENGTH) {
    throw new Failure(`${failing}: Name length exceeds maximum (${MAX_NAME_LENGTH} characters)`);
  }
  await editorOf(image).add(file, { name, granularity, state: 'enabled' });
}

function isGranularity(bytes: number): boolean {
  return bytes >= MIN_GRANULARITY && bytes <= MAX_GRANULARITY && Number.isInteger(Math.log2(bytes));
}

async function merge({ image, file, name, origin }: BitmapWork, from: string): Promise<void> {
  const info = await infoOf(image, file.source);
  const target = find(info, name);
  if (origin === undefined) {
    const source = find(info, from);
    refuseInconsistent(target);
    refuseInconsistent(source);
    await editorOf(image).merge(file, name, { name: from });
    return;
  }
  const source = openLocation(origin.location);
  try {
    const originInfo = await infoOf(origin, source);
    const found = find(originInfo, from);
    refuseInconsistent(target);
    refuseInconsistent(found);
    refuseOtherSize(info, originInfo);
    await editorOf(image).merge(file, name, { name: from, source });
  } finally {
    await source.close();
  }
}

function refuseOtherSize(destination: ImageInfo, source: ImageInfo): void {
  const sizes = [destination, source].map(({ virtualSize }) => alignUp(virtualSize, SECTOR_SIZE));
  const [own = 0, other = 0] = sizes;
  if (own !== other) throw new Failure(differentSizes(own, other));
}

async function change({ image, file, name }: BitmapWork, action: string): Promise<void> {
  const found = find(await infoOf(image, file.source), name);
  if (action !== 'remove') refuseInconsistent(found);
  const editor = editorOf(image);
  if (action === 'remove') await editor.remove(file, name);
  else if (action === 'clear') await editor.clear(file, name);
  else if (action === 'enable') await editor.enable(file, name);
  else await editor.disable(file, name);
}

async function infoOf(image: KnownImage, source: ByteSource): Promise<ImageInfo> {
  return (await image.format.examine(source)).info;
}

function find(info: ImageInfo, name: string): ListedBitmap {
  const found = listedBitmaps(info).find((bitmap) => bitmap.name === name);
  if (found === undefined) throw new Failure(`Dirty bitmap '${name}' not found`);
  return found;
}

function editorOf({ format }: KnownImage): BitmapEditor {
  const editor = format.editor?.bitmaps;
  if (editor === undefined) throw new Error('assertion failed: what lists bitmaps can change them');
  return editor;
}
