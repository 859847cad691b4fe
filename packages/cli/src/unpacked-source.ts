import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { UnwrappedImage, UnwrapRequest } from '@diskmorph/disk-image-node';
import { unwrapImage, unwrapLastingly } from '@diskmorph/disk-image-node';
import type { CommandContext, OptionSpec } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { PROGRESS_OPTION } from './arguments/shared-options.ts';
import type { SourceImage } from './source-image.ts';
import { imageAt, sourceImage } from './source-image.ts';
import { withProgressView } from './work-options.ts';

export const ENTRY_OPTION: OptionSpec = {
  long: 'entry',
  value: 'NAME',
  summary: 'The disk to take out of an archive of several: its file name, or its disk id in an OVF package',
};

export const UNPACK_DIR_OPTION: OptionSpec = {
  long: 'unpack-dir',
  value: 'DIR',
  summary: 'Where compressed images are unpacked for the time of the command; $TMPDIR or /var/tmp when it is not given',
};

/** What `--allow` calls a container that grows beyond all reason. */
const RATIO_CODE = 'size-bomb-ratio';

/** The options of commands that look at images, packed or not. */
export const PACKED_OPTIONS: readonly OptionSpec[] = [
  ENTRY_OPTION,
  UNPACK_DIR_OPTION,
  {
    long: 'allow',
    value: 'CODE',
    repeatable: true,
    summary: `With ${RATIO_CODE}: unpack what grows to over 1100 times its size`,
  },
];

/** The same for commands whose only long work is unpacking. */
export const UNPACKING_OPTIONS: readonly OptionSpec[] = [...PACKED_OPTIONS, PROGRESS_OPTION];

/** The command line that an image is looked at for. */
export interface UnpackContext {
  readonly given: GivenArguments;
  readonly context: CommandContext;
}

/** An image for a command, and what must be done when the command is done with it. */
export interface UnpackedSource {
  readonly source: SourceImage;
  /** Removes what was unpacked. */
  cleanup(): Promise<void>;
}

/** Where an image comes from, and which options speak of it. */
export interface WantedSource {
  readonly path: string;
  /** `format` when absent. */
  readonly formatOption?: string;
  /** `entry` when absent. */
  readonly entryOption?: string;
  /** Where it is unpacked; `--unpack-dir` goes before. */
  readonly directory?: string;
  /** What is unpacked stays in `directory` when the process is killed, and is found there again. */
  readonly lasting?: boolean;
}

/** Gives `work` the image, taken out of its containers; what was unpacked for it is gone afterwards. */
export async function withImage<T>(
  wanted: WantedSource,
  about: UnpackContext,
  work: (source: SourceImage) => Promise<T>,
): Promise<T> {
  const { source, cleanup } = await unpackedSource(wanted, about);
  try {
    return await work(source);
  } finally {
    await cleanup();
  }
}

/**
 * The image at `path`, taken out of its containers (gz, xz, zst, bz2, zip, tar, ova) when it lies in some. `-f raw` takes
 * the file as it is, whatever it looks like.
 */
export async function unpackedSource(wanted: WantedSource, about: UnpackContext): Promise<UnpackedSource> {
  const { path, formatOption = 'format' } = wanted;
  const { given } = about;
  if (given.text(formatOption) === 'raw') {
    return { source: await sourceImage(path, given, formatOption), cleanup: async () => {} };
  }
  const { file, innerName, wrappers, cleanup } = await unwrapShown(wanted, about);
  try {
    const image = await imageAt(file, given, formatOption);
    const packed = { path, wrappers: wrappers.toReversed(), ...(innerName === undefined ? {} : { name: innerName }) };
    return { source: wrappers.length === 0 ? image : { ...image, packed }, cleanup };
  } catch (error) {
    await cleanup();
    throw error;
  }
}

function unwrapShown(wanted: WantedSource, about: UnpackContext): Promise<UnwrappedImage> {
  const { path, directory = temporaryDirectory(), lasting = false, entryOption = ENTRY_OPTION.long } = wanted;
  return withUnpacking(about, entryOption, (request) =>
    lasting
      ? unwrapLastingly(path, { ...request, directory })
      : unwrapImage(path, { ...request, directory: about.given.text(UNPACK_DIR_OPTION.long) ?? directory }),
  );
}

/** Runs `work` with the limits, the place, the progress view and the signal with which containers are opened. */
export function withUnpacking<T>(
  { given, context }: UnpackContext,
  entryOption: string,
  work: (request: UnwrapRequest) => Promise<T>,
): Promise<T> {
  const entry = given.text(entryOption);
  const isTrusted = given.all('allow').includes(RATIO_CODE);
  return withProgressView(given, context, (view) =>
    work({
      directory: given.text(UNPACK_DIR_OPTION.long) ?? temporaryDirectory(),
      signal: context.signal,
      ...(entry === undefined ? {} : { entry }),
      ...(isTrusted ? { limits: { maxRatio: Number.POSITIVE_INFINITY } } : {}),
      onProgress(progress) {
        const { consumedBytes, totalBytes } = progress;
        const percent = totalBytes === 0 ? 100 : (consumedBytes / totalBytes) * 100;
        const shown = { title: 'Unpacking', bytesDone: consumedBytes, bytesTotal: totalBytes, percent };
        view.show(shown, { phase: 'unpack', ...progress });
      },
    }),
  );
}

/** For large files that last as long as a command: /tmp is memory on many systems. */
export function temporaryDirectory(): string {
  const { TMPDIR } = process.env;
  if (TMPDIR !== undefined && TMPDIR !== '') return TMPDIR;
  return existsSync('/var/tmp') ? '/var/tmp' : tmpdir();
}
