import { dirname, join, isAbsolute } from 'node:path';
import { stat } from 'node:fs/promises';
import type { ByteSource, DiskImage, Examination, Format } from '@diskmorph/disk-image';
import { findFormat, ImageError } from '@diskmorph/disk-image';
import type { ImageFile } from '@diskmorph/disk-image-node';
import { openFileSourceSync, openImageFile } from '@diskmorph/disk-image-node';
import { couldNotOpen, Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import { detectDriver } from './detect.ts';
import type { ImageLocation } from './location.ts';
import { localPath } from './location.ts';
import { chosenReferences } from './reference-choice.ts';

/** A location whose format is known. */
export interface KnownImage {
  readonly location: ImageLocation;
  readonly format: Format;
}

/** Finds the format of a location that does not state it. Throws a failure when the file cannot be opened. */
export async function knownImage(location: ImageLocation): Promise<KnownImage> {
  const source = openLocation(location);
  try {
    const stated = location.format === undefined ? undefined : findFormat(location.format);
    return { location, format: stated ?? (await detectDriver(source, location.path)) };
  } catch (error) {
    throw couldNotOpen(location.given, error);
  } finally {
    await source.close();
  }
}

/** The bytes of the file itself. Throws a failure when it cannot be opened. */
export function openLocation(location: ImageLocation): ByteSource {
  try {
    return openFileSourceSync(location.path);
  } catch (error) {
    if (error instanceof ImageError && error.code === 'unsupported') {
      throw new Failure(
        `Could not open '${location.given}': 'file' driver requires '${location.path}' to be a regular file`,
      );
    }
    throw couldNotOpen(location.given, error);
  }
}

/** The image as plain data for `openImageFile` and for threads. */
export function imageFile({ location, format }: KnownImage, snapshot?: string): ImageFile {
  return {
    path: location.path,
    format: format.name,
    references: chosenReferences(),
    ...(location.window === undefined ? {} : { window: location.window }),
    ...(location.hasBacking ? {} : { backing: 'ignore' as const }),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
}

/** Opens the guest disk with all that it stands on. Throws a failure. */
export async function openGuestDisk(image: KnownImage, snapshot?: string): Promise<DiskImage> {
  try {
    return await openImageFile(imageFile(image, snapshot));
  } catch (error) {
    throw openingFailure(image, error);
  }
}

const WRONG_FORMAT: Readonly<Record<string, string>> = {
  vmdk: 'invalid VMDK image descriptor',
  vhd: 'invalid VPC image',
  qed: 'Image not in QED format',
  parallels: 'Image not in Parallels format',
  luks: 'Volume is not in LUKS format',
  qcow: 'Image not in qcow format',
  bochs: 'Image not in Bochs format',
  dmg: 'Could not locate UDIF trailer in dmg file',
};

/** What qemu-img says of a file that is not of the format. */
export function wrongFormat(format: Format): string {
  return WRONG_FORMAT[format.name] ?? `Image is not in ${qemuName(format.name)} format`;
}

/** The failure for an error that opening or examining an image has thrown. */
export function openingFailure({ location, format }: KnownImage, error: unknown): Failure {
  const fail = (why: string): Failure => new Failure(`Could not open '${location.given}': ${why}`);
  if (!(error instanceof ImageError)) return couldNotOpen(location.given, error);
  if (error.code === 'wrong_format') return fail(wrongFormat(format));
  if (error.code === 'unsupported' && /encrypted with/.test(error.message)) {
    return fail("Parameter 'encrypt.key-secret' is required for cipher");
  }
  return couldNotOpen(location.given, error);
}

/** What examining does not refuse, but qemu-img does not open either. */
const FATAL_FINDINGS: ReadonlySet<string> = new Set([
  'unknown-feature',
  'unsupported-subformat',
  'unsupported-version',
  'table-outside-file',
  'corrupt-table',
  'header-inconsistent',
  'size-bomb-table',
  'overlapping-tables',
  'unsafe-extent-name',
]);

/** What the metadata of the file says. Throws a failure for what cannot be an image of its format. */
export async function examineImage(image: KnownImage): Promise<Examination> {
  const { location, format } = image;
  const source = openLocation(location);
  try {
    const examination = await format.examine(source);
    const fatal = examination.findings.find(({ code, severity }) => severity === 'unsafe' && FATAL_FINDINGS.has(code));
    if (fatal !== undefined) throw new Failure(`Could not open '${location.given}': ${fatal.message}`);
    return examination;
  } catch (error) {
    throw openingFailure(image, error);
  } finally {
    await source.close();
  }
}

/** The path of a file that the image at `path` names; undefined for what is not a local file. */
export function referencedPath(path: string, name: string): string | undefined {
  const local = localPath(name);
  if (local === undefined) return undefined;
  if (isAbsolute(local)) return local;
  const folder = dirname(path);
  return folder === '.' && !path.startsWith('./') ? local : `${folder === '/' ? '' : folder}/${local}`;
}

/** Bytes that the files take on their file system; those that are not there count nothing. */
export async function allocatedBytes(paths: readonly string[]): Promise<number> {
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return found.reduce((sum, stats) => sum + (stats === undefined ? 0 : stats.blocks * 512), 0);
}

/** A path beside another one. */
export function beside(path: string, name: string): string {
  return join(dirname(path), name);
}
