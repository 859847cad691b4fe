import { rename } from 'node:fs/promises';
import { assert, ImageError } from '@diskmorph/disk-image';
import { checksumFile } from './checksum.ts';
import type { ConversionReport } from './convert-file.ts';
import { singleReport } from './convert-file.ts';
import type { FilesConversion, FilesConversionReport, TargetFileRequest } from './convert-files.ts';
import { convertFiles } from './convert-files.ts';
import { fillHoles } from './fill-holes.ts';
import { packDisk } from './pack-disk.ts';
import type { WrittenFile } from './written-file.ts';
import { writtenFile } from './written-file.ts';

/** The name under which importers look for the disk in the archive. */
const MEMBER_NAME = 'disk.raw';

/** An image to write, and what becomes of its file when it is whole. */
export interface FinishedTarget extends TargetFileRequest {
  /** A raw disk, packed as `packDisk` does; the target's path is the archive's, the checksums are those of the archive. */
  readonly packing?: 'tar-gz';
  /** Its file has no holes; present when it is so. */
  readonly dense?: true;
}

/** Conversions whose targets are finished in ways that are no matter of their format. */
export interface FinishedConversion extends Omit<FilesConversion, 'targets' | 'adjust'> {
  readonly targets: readonly FinishedTarget[];
}

/**
 * `convertFiles`, the targets finished as each says. A disk is verified before it is packed, and either all targets appear
 * or none. Throws as `convertFiles` does, and `unsupported` for a packed target with a checkpoint.
 */
export async function convertFinished(request: FinishedConversion): Promise<FilesConversionReport> {
  const { targets, ...choices } = request;
  const isPacked = targets.some(({ packing }) => packing !== undefined);
  if (isPacked && request.checkpoint !== undefined) {
    throw new ImageError('unsupported', 'A conversion into a packed disk cannot be resumed');
  }
  const report = await convertFiles({
    ...choices,
    targets: targets.map(unfinished),
    ...(isPacked ? { adjust: (paths: readonly string[]) => packAll(targets, paths, request) } : {}),
  });
  const finished: { readonly files: readonly WrittenFile[] }[] = [];
  for (const [index, { files }] of report.targets.entries()) {
    const target = targets[index];
    assert(target !== undefined, 'every target has its report');
    finished.push({ files: await finishedFiles(files, target, request) });
  }
  return { ...report, targets: finished };
}

/** The same into one target. */
export async function convertOneFinished(
  request: Omit<FinishedConversion, 'targets'> & { readonly target: FinishedTarget },
): Promise<ConversionReport> {
  const { target, ...choices } = request;
  return singleReport(await convertFinished({ ...choices, targets: [target] }));
}

function unfinished({ packing, dense: _dense, ...target }: FinishedTarget): TargetFileRequest {
  return packing === undefined ? target : { ...target, checksums: [] };
}

type Watched = Pick<FilesConversion, 'signal' | 'onProgress'>;

function watched({ signal, onProgress }: Watched): Watched {
  return { ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }) };
}

async function packAll(targets: readonly FinishedTarget[], paths: readonly string[], work: Watched): Promise<void> {
  for (const [index, diskPath] of paths.entries()) {
    if (targets[index]?.packing === undefined) continue;
    const archivePath = `${diskPath}.packed`;
    await packDisk({ diskPath, archivePath, memberName: MEMBER_NAME }, watched(work));
    await rename(archivePath, diskPath);
  }
}

async function finishedFiles(
  files: readonly WrittenFile[],
  target: FinishedTarget,
  work: Watched,
): Promise<readonly WrittenFile[]> {
  if (target.dense === undefined && target.packing === undefined) return files;
  const finished: WrittenFile[] = [];
  for (const { path, checksums } of files) {
    if (target.dense === true) await fillHoles(path, work.signal);
    const names = target.packing === undefined ? [] : (target.checksums ?? []);
    const own = target.packing === undefined ? checksums : await checksumFile(path, names, watched(work));
    finished.push(await writtenFile(path, own));
  }
  return finished;
}
