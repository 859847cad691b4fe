import type { Format } from '@diskmorph/disk-image';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import { withWritableFile } from '../image/writable-file.ts';

/** The image that is to stand on another one. */
export interface OverlayFile {
  readonly format: Format;
  readonly path: string;
  readonly shownName: string;
}

/** Names another backing image in the header, or none; neither is looked at. */
export async function changeBacking(
  image: OverlayFile,
  backing: { readonly name: string; readonly format: string | undefined } | undefined,
): Promise<void> {
  const change = image.format.editor?.changeBacking;
  if (change === undefined) {
    throw new Failure(`Images of the format ${qemuName(image.format.name)} cannot be given another backing file`);
  }
  const reference =
    backing === undefined
      ? undefined
      : {
          kind: 'backing' as const,
          name: backing.name,
          ...(backing.format === undefined ? {} : { format: backing.format }),
        };
  await withWritableFile(image.path, image.shownName, (file) => change(file, reference));
}
