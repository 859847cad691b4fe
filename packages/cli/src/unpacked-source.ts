import type { UnwrappedImage } from '@diskmorph/disk-image-node';
import { unwrapImage } from '@diskmorph/disk-image-node';
import type { CommandContext, OptionSpec } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import type { SourceImage } from './source-image.ts';
import { imageAt, sourceImage } from './source-image.ts';
import { withProgressView } from './work-options.ts';

export const ENTRY_OPTION: OptionSpec = {
  long: 'entry',
  value: 'NAME',
  summary: 'The disk to take out of an archive of several: its file name, or its disk id in an OVF package',
};

/** What `--allow` calls a container that grows beyond all reason. */
const RATIO_CODE = 'size-bomb-ratio';

/** An image for a command, and what must be done when the command is done with it. */
export interface UnpackedSource {
  readonly source: SourceImage;
  /** Removes what was unpacked. */
  cleanup(): Promise<void>;
}

/**
 * The image at `path`, taken out of its containers (gz, xz, zst, bz2, zip, tar, ova) when it lies in some. What must be
 * unpacked goes into `directory`. `-f raw` takes the file as it is, whatever it looks like.
 */
export async function unpackedSource(
  path: string,
  directory: string,
  { given, context }: { readonly given: GivenArguments; readonly context: CommandContext },
): Promise<UnpackedSource> {
  if (given.text('format') === 'raw') return { source: await sourceImage(path, given), cleanup: async () => {} };
  const unwrapped = await unwrapShown(path, directory, { given, context });
  try {
    const image = await imageAt(unwrapped.file, given);
    const { innerName, wrappers } = unwrapped;
    const packed = { path, wrappers: wrappers.toReversed(), ...(innerName === undefined ? {} : { name: innerName }) };
    const source = wrappers.length === 0 ? image : { ...image, packed };
    return { source, cleanup: unwrapped.cleanup };
  } catch (error) {
    await unwrapped.cleanup();
    throw error;
  }
}

function unwrapShown(
  path: string,
  directory: string,
  { given, context }: { readonly given: GivenArguments; readonly context: CommandContext },
): Promise<UnwrappedImage> {
  const entry = given.text(ENTRY_OPTION.long);
  const isTrusted = given.all('allow').includes(RATIO_CODE);
  return withProgressView(given, context, (view) =>
    unwrapImage(path, {
      directory,
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
