import { chmod, chown, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { BaseFile } from '@diskmorph/disk-image-node';
import { convertFile } from '@diskmorph/disk-image-node';
import { allocateNew } from '../create/allocate-holes.ts';
import { openBacking } from '../create/backing-image.ts';
import { Failure, reasonOf, systemWords } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import { copyBitmaps } from './convert-bitmaps.ts';
import type { ConvertJob } from './convert.ts';

const SECTOR_SIZE = 512;

/** Without a format of its own to hold identifiers, the content need not be digested to derive them. */
const WITHOUT_IDENTIFIERS: ReadonlySet<string> = new Set(['raw', 'qcow2']);

/** What is needed to make a new image. */
export type NewImageJob = Pick<
  ConvertJob,
  | 'source'
  | 'format'
  | 'target'
  | 'targetPath'
  | 'request'
  | 'backing'
  | 'zeroRule'
  | 'bitmaps'
  | 'threads'
  | 'durability'
>;

/** Converts into a file that appears when it is whole, or onto a device. `onPercent` hears of progress. */
export async function convertIntoNew(job: NewImageJob, onPercent: (percent: number) => void): Promise<void> {
  const { source, format, target, request, zeroRule, bitmaps } = job;
  const driver = qemuName(format.name);
  const { path, before } = await settleTarget(job.targetPath, `${target}: error while converting ${driver}:`);
  const over = await openableBase(job, path);
  const verify = process.env['DISKMORPH_VERIFY'] === '1';
  try {
    const report = await convertFile({
      source,
      target: {
        path,
        format: format.name,
        options: request.options,
        ...(driver === 'raw' ? { sizeMultiple: SECTOR_SIZE } : {}),
        ...(over === undefined ? {} : { over }),
      },
      overwrite: true,
      verify,
      callingThread: 'works',
      durability: job.durability,
      digest: !WITHOUT_IDENTIFIERS.has(driver),
      reflink: request.allocateFile === 'no' ? 'auto' : 'never',
      ...(job.threads ? {} : { workers: 0 }),
      ...(zeroRule === undefined ? {} : { zeroRule }),
      onProgress: ({ phase, percent }) => {
        if (phase === 'copy') onPercent(percent);
      },
      ...(bitmaps === undefined
        ? {}
        : { adjust: ([made = '']) => copyBitmaps(bitmaps, { path: made, format, state: 'new' }) }),
    });
    if (before?.isBlockDevice() === true) return;
    if (request.holdsAllBytes) for (const { path: made } of report.files) await allocateNew(made, request.allocateFile);
    if (before !== undefined) await restoreOwner(path, before);
  } catch (error) {
    throw failureOfConversion(error, job);
  }
}

/** What the target is to stand on, when it can be opened. */
async function openableBase(job: NewImageJob, imagePath: string): Promise<BaseFile | undefined> {
  if (job.backing === undefined) return undefined;
  // A VMDK is given its parent's content id when it is made, the others look for their backing images afterwards.
  const failing =
    job.format.name === 'vmdk'
      ? `${job.target}: error while converting vmdk: `
      : `Could not open '${job.target}': Could not open backing file: `;
  const { file, disk } = await openBacking({ ...job.backing, imagePath }, failing);
  await disk.close();
  return { ...job.backing, file };
}

function failureOfConversion(error: unknown, { target, format }: Pick<ConvertJob, 'target' | 'format'>): Failure {
  const words = systemWords(error);
  const prefix = `${target}: error while converting ${qemuName(format.name)}:`;
  if (error instanceof Error && error.message.startsWith('Cannot write beside') && words !== undefined) {
    return new Failure(`${prefix} Could not create '${target}': ${words}`);
  }
  if (error instanceof Error && error.message.startsWith('The device has ')) {
    return new Failure(`${prefix} Cannot grow device files: ${reasonOf(error)}`);
  }
  return new Failure(`${prefix} ${reasonOf(error)}`);
}

/** Where the target really lies, and what is there. Throws a failure for what cannot become an image. */
export async function settleTarget(
  given: string,
  prefix: string,
): Promise<{ readonly path: string; readonly before: Stats | undefined }> {
  const path = await realpath(given).catch(() => given);
  const before = await stat(path).catch(() => undefined);
  if (before === undefined || before.isFile() || before.isBlockDevice()) return { path, before };
  const why = before.isDirectory() ? 'Is a directory' : 'it is neither a file nor a block device';
  throw new Failure(`${prefix} Could not create '${given}': ${why}`);
}

/** A replaced file keeps its mode and, as far as this process may, its owner. */
async function restoreOwner(path: string, before: Stats): Promise<void> {
  await chmod(path, before.mode & 0o7777).catch(() => undefined);
  const now = await stat(path);
  if (now.uid !== before.uid || now.gid !== before.gid)
    await chown(path, before.uid, before.gid).catch(() => undefined);
}
