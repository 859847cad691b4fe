import type { SnapshotEditor } from '@diskmorph/disk-image';
import { ImageError } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { readCommandLine } from '../arguments/given-options.ts';
import { Failure, reasonOf, usageFailure } from '../failure.ts';
import { listedBitmaps } from '../image/bitmap-list.ts';
import type { KnownImage } from '../image/image-source.ts';
import { examineImage, knownImage } from '../image/image-source.ts';
import { readImageName } from '../image/location.ts';
import { withWritableFile } from '../image/writable-file.ts';
import { out } from '../text/output.ts';
import { snapshotTable } from '../text/snapshot-table.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'l', takes: 'nothing' },
  { short: 'a', takes: 'value' },
  { short: 'c', takes: 'value' },
  { short: 'd', takes: 'value' },
  { short: 'q', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
];

const MS_PER_SECOND = 1000;
const NANOSECONDS_PER_MS = 1_000_000;

/** `qemu-img snapshot`: lists, makes, applies and removes internal snapshots. */
export async function snapshot(args: readonly string[]): Promise<number> {
  const line = readCommandLine('snapshot', args, OPTIONS);
  const actions = ['l', 'a', 'c', 'd'].reduce((sum, action) => sum + line.values(action).length, 0);
  if (actions > 1) throw usageFailure("Cannot mix '-l', '-a', '-c', '-d'");
  const [name, ...more] = line.operands;
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const image = await knownImage(readImageName(name, { asOptions: line.has('image-opts'), format: undefined }));
  const { info } = await examineImage(image);
  if (line.has('l')) out(snapshotTable(info.snapshots));
  else if (actions === 1) {
    const applied = line.value('a');
    // As qemu-img: bitmaps would say nothing of what going back changes.
    if (applied !== undefined && listedBitmaps(info).length > 0) {
      throw new Failure(`Could not apply snapshot '${applied}': Device has active dirty bitmaps`);
    }
    await change(line, image);
  }
  return 0;
}

async function change(line: CommandLine, image: KnownImage): Promise<void> {
  const made = line.value('c');
  const applied = line.value('a');
  const deleted = line.value('d');
  if (made !== undefined) {
    await edit(image, `Could not create snapshot '${made}': -95 (Operation not supported)`, async (editor, file) => {
      const now = Date.now();
      const dateSeconds = Math.floor(now / MS_PER_SECOND);
      const dateNanoseconds = (now % MS_PER_SECOND) * NANOSECONDS_PER_MS;
      await doing(`Could not create snapshot '${made}'`, () =>
        editor.create(file, { name: made, dateSeconds, dateNanoseconds }),
      );
    });
  } else if (applied !== undefined) {
    const failing = `Could not apply snapshot '${applied}'`;
    await edit(image, `${failing}: Block driver does not support snapshots`, (editor, file) =>
      doing(failing, () => editor.apply(file, applied), 'Failed to load snapshot: No such file or directory'),
    );
  } else if (deleted !== undefined) {
    const failing = `Could not delete snapshot '${deleted}'`;
    await edit(image, `${failing}: snapshot not found`, (editor, file) =>
      doing(failing, () => editor.delete(file, deleted), 'snapshot not found'),
    );
  }
}

async function edit(
  { format, location }: KnownImage,
  refusal: string,
  change: (editor: SnapshotEditor, file: Parameters<SnapshotEditor['create']>[0]) => Promise<void>,
): Promise<void> {
  const editor = format.editor?.snapshots;
  if (editor === undefined) throw new Failure(refusal);
  await withWritableFile(location.path, location.given, (file) => change(editor, file));
}

/** `missing` is said when there is no such snapshot. */
async function doing(what: string, action: () => Promise<unknown>, missing?: string): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    const isMissing = missing !== undefined && error.code === 'out_of_bounds';
    throw new Failure(`${what}: ${isMissing ? missing : reasonOf(error)}`);
  }
}
