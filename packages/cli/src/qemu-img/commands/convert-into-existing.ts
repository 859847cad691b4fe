import { closeSync, constants, fstatSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { DiskImage } from '@diskmorph/disk-image';
import type { ImageFile } from '@diskmorph/disk-image-node';
import { nodeCodecs, openFileSink, openFileSourceSync, openImageFile } from '@diskmorph/disk-image-node';
import { couldNotOpen, Failure } from '../failure.ts';
import { openGuestDisk } from '../image/image-source.ts';
import { fromName } from '../image/location.ts';
import type { ProgressText } from '../text/progress.ts';
import { checkRoomForBitmaps, copyBitmaps } from './convert-bitmaps.ts';
import type { ConvertJob } from './convert.ts';
import type { GuestTarget } from './copy-guest.ts';
import { copyGuest } from './copy-guest.ts';
import { withGuestWriter } from './guest-writer.ts';

/** `convert -n`: the guest bytes go into an image or device that is there; its size stays. */
export async function convertIntoExisting(job: ConvertJob, progress: ProgressText): Promise<void> {
  const { line, format, target, targetPath, bitmaps } = job;
  const source = await openImageFile(job.source);
  try {
    const location = { ...fromName(targetPath), given: target, format: format.name };
    const existing = await openGuestDisk({ location, format });
    await existing.close();
    if (line.has('target-is-zero') && existing.info.backing !== undefined) {
      throw new Failure('Cannot use --target-is-zero when the destination image has a backing file');
    }
    if (existing.virtualSize < source.virtualSize) throw new Failure('output file is smaller than input file');
    if (bitmaps !== undefined) checkRoomForBitmaps(bitmaps, { location, format }, existing.info);
    const request = {
      source,
      targetIsZero: line.has('target-is-zero'),
      isZero: allZero,
      onPercent: (percent: number): void => progress.update(percent),
    };
    if (format.name === 'raw') await copyIntoFile(targetPath, request);
    else {
      await withGuestWriter({ location, format }, async (writer) => {
        await copyGuest({ ...request, target: writer, unitSize: writer.unitSize });
      });
      if (bitmaps !== undefined) await copyBitmaps(bitmaps, targetPath, { format });
    }
  } finally {
    await source.close();
  }
}

/** Copies onto a block device, which has its size and cannot be replaced by a finished file. Raw images only. */
export async function convertOntoDevice(
  job: { readonly source: ImageFile; readonly path: string; readonly driver: string; readonly target: string },
  onPercent: (percent: number) => void,
): Promise<void> {
  const prefix = `${job.target}: error while converting ${job.driver}:`;
  if (job.driver !== 'raw') throw new Failure(`${prefix} Only raw images can be written onto a block device`);
  const source = await openImageFile(job.source);
  try {
    const device = openFileSourceSync(job.path);
    await device.close();
    if (device.size < source.virtualSize) throw new Failure(`${prefix} Cannot grow device files`);
    await copyIntoFile(job.path, { source, targetIsZero: false, isZero: allZero, onPercent });
  } finally {
    await source.close();
  }
}

function allZero(bytes: Uint8Array): boolean {
  return nodeCodecs().isZero(bytes);
}

interface RawCopy {
  readonly source: DiskImage;
  readonly targetIsZero: boolean;
  readonly isZero: (bytes: Uint8Array) => boolean;
  readonly onPercent: (percent: number) => void;
}

/** Copies over a raw file or a block device and flushes it. */
export async function copyIntoFile(path: string, request: RawCopy): Promise<void> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR);
  } catch (error) {
    throw couldNotOpen(path, error);
  }
  const isFile = fstatSync(fd).isFile();
  const sink = isFile ? openFileSink(path, path) : undefined;
  const write = (offset: number, bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  };
  const target: GuestTarget = {
    write: async (offset, bytes) => write(offset, bytes),
    zero: async (offset, length) => {
      if (sink !== undefined) await sink.zero(offset, length);
      else write(offset, new Uint8Array(length));
    },
  };
  try {
    await copyGuest({ ...request, target, unitSize: 1 });
    fsyncSync(fd);
  } finally {
    await sink?.close();
    closeSync(fd);
  }
}
