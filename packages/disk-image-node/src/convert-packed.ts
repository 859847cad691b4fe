import path from 'node:path';
import type { ConversionReport, FileConversion } from './convert-file.ts';
import { convertFile } from './convert-file.ts';
import { checksumFile } from './checksum.ts';
import { packDisk } from './pack-disk.ts';
import { refuseExisting, temporaryWorkDirectory } from './work-directory.ts';
import { writtenFile } from './written-file.ts';

/** The name under which importers look for the disk in the archive. */
const MEMBER_NAME = 'disk.raw';

/**
 * `convertFile` into a raw disk, packed as `packDisk` does; the target's path is the archive's. The disk is verified
 * before it is packed, and lies beside the archive until then. Takes no checkpoint.
 */
export async function convertPacked(request: Omit<FileConversion, 'checkpoint'>): Promise<ConversionReport> {
  const { target, signal, onProgress } = request;
  if (request.overwrite !== true) await refuseExisting([target.path]);
  const archiveName = path.basename(target.path);
  const directory = await temporaryWorkDirectory(target.path);
  try {
    const diskPath = directory.pathOf(`${archiveName}.disk`);
    const report = await convertFile({ ...request, target: { ...target, path: diskPath, checksums: [] } });
    const work = { ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }) };
    await packDisk({ diskPath, archivePath: directory.pathOf(archiveName), memberName: MEMBER_NAME }, work);
    const checksums = await checksumFile(directory.pathOf(archiveName), target.checksums ?? [], work);
    await directory.commit([archiveName], path.dirname(target.path), request.durability ?? 'flushed');
    const archive = await writtenFile(target.path, checksums);
    return { ...report, files: [archive], targetSizeBytes: archive.sizeBytes };
  } finally {
    await directory.remove();
  }
}
