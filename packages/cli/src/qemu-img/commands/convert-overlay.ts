import type { DiskImage } from '@diskmorph/disk-image';
import { createImageFile, nodeCodecs, openImageFile } from '@diskmorph/disk-image-node';
import { Failure } from '../failure.ts';
import { openBacking } from '../create/backing-image.ts';
import { fromName } from '../image/location.ts';
import type { ProgressText } from '../text/progress.ts';
import { changeBacking } from './change-backing.ts';
import { copyBitmaps } from './convert-bitmaps.ts';
import type { ConvertJob } from './convert.ts';
import { backingName, settleTarget } from './convert.ts';
import { writeDifferences } from './write-differences.ts';
import { withGuestWriter } from './guest-writer.ts';

/** `convert -B`: the target stands on a backing image and stores only what differs from it. */
export async function convertOverlay(job: ConvertJob, progress: ProgressText): Promise<void> {
  const { line, format, target, values, request } = job;
  const name = backingName(job) ?? '';
  const backingFormat = line.value('backing-format') ?? values.get('backing_fmt') ?? '';
  const { path } = await settleTarget(job.targetPath, `${target}: error while converting ${format.name}:`);
  if (line.has('c')) throw new Failure('Clusters of an overlay cannot be compressed here; leave out -c or -B');
  const source = await openImageFile(job.source);
  let backing: DiskImage | undefined;
  try {
    backing = await openBacking({ name, format: backingFormat, imagePath: path }, `Could not open '${target}': `);
    const base = backing;
    await createImageFile({
      path,
      format: format.name,
      virtualSize: source.virtualSize,
      options: request.options,
      overwrite: true,
      adjust: async (made) => {
        await changeBacking({ format, path: made, shownName: target }, { name, format: backingFormat });
        await withGuestWriter({ location: fromName(made), format }, async (writer) => {
          await writeDifferences({
            source,
            base,
            writer,
            isZero: (bytes) => nodeCodecs().isZero(bytes),
            onPercent: (percent) => progress.update(percent),
          });
        });
        if (job.bitmaps !== undefined) await copyBitmaps(job.bitmaps, made, { format });
      },
    });
  } finally {
    await source.close();
    await backing?.close();
  }
}
