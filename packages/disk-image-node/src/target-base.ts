import type { DiskImage, ImageReference } from '@diskmorph/disk-image';
import type { ImageFile } from './image-file.ts';
import { openForWork } from './image-file.ts';
import type { LaneChoice } from './lane-count.ts';

/** The image that a new one is to stand on. Plain data. */
export interface BaseFile {
  /** Its name as the new image's header will have it: relative to where that image lies. */
  readonly name: string;
  /** Its format as the header will have it. */
  readonly format?: string;
  /** Where it is, with all that it stands on itself. */
  readonly file: ImageFile;
}

/** A base that is open. */
export interface OpenBase {
  readonly reference: ImageReference;
  readonly base: DiskImage;
}

/** Opens the base of each target; undefined for those that stand alone. */
export async function openBases(
  targets: readonly { readonly over?: BaseFile }[],
  choice: LaneChoice,
): Promise<readonly (OpenBase | undefined)[]> {
  const opened: (OpenBase | undefined)[] = [];
  try {
    for (const { over } of targets) opened.push(over === undefined ? undefined : await openBase(over, choice));
    return opened;
  } catch (error) {
    await closeBases(opened);
    throw error;
  }
}

async function openBase({ name, format, file }: BaseFile, choice: LaneChoice): Promise<OpenBase> {
  const base = await openForWork(file, choice);
  const { linkId } = base.info;
  return {
    base,
    reference: {
      kind: 'backing',
      name,
      ...(format === undefined ? {} : { format }),
      ...(linkId === undefined ? {} : { linkIds: [linkId] }),
    },
  };
}

/** Closes what `openBases` opened. */
export async function closeBases(bases: readonly (OpenBase | undefined)[]): Promise<void> {
  await Promise.all(bases.map((one) => one?.base.close()));
}
