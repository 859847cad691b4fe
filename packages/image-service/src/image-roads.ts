import type { DataInCall, ImageDataRoads, ImageRemoval } from './api/api-parts.ts';
import type { DataParts, IncomingData } from './import/image-data.ts';
import { stageData, uploadData } from './import/image-data.ts';
import { recoverImages } from './import/recovery.ts';
import { removeImage } from './import/removal.ts';
import { openStoredData } from './import/stored-data.ts';
import type { WholeService } from './main.ts';
import { openStaging } from './staging/staging.ts';

/** What images go through when callers ask for it. */
export interface ImageRoads {
  readonly data: ImageDataRoads;
  readonly removal: ImageRemoval;
  /** Brings images to rest that a death of the process left on their way; before anybody asks for anything. */
  recover(): Promise<void>;
}

/** The roads of one service. */
export function imageRoads(whole: WholeService): ImageRoads {
  const parts = dataParts(whole);
  const removal = {
    ...whole.parts,
    discardStaged: (imageId: string) => parts.uploads.remove(imageId),
    cancelTask: (taskId: string) => whole.engine.cancel(taskId),
  };
  return {
    data: dataRoads(parts, whole),
    removal: { remove: (imageId) => removeImage(removal, imageId) },
    recover: () => recoverImages(parts),
  };
}

function dataParts({ parts, configuration }: WholeService): DataParts {
  const uploads = openStaging({
    workDir: configuration.stagingStoreDatadir ?? configuration.workDir,
    instanceId: parts.catalog.instanceId,
    marginBytes: configuration.freeSpaceMargin,
    purpose: 'uploads',
  });
  return { ...parts, uploads };
}

function dataRoads(data: DataParts, { configuration }: WholeService): ImageDataRoads {
  const limits = { maxBytes: configuration.imageSizeCap, stallMs: configuration.uploadStallTimeout * 1000 };
  const limited = ({ expectedBytes, ...rest }: DataInCall): IncomingData => ({
    ...rest,
    limits: { ...limits, ...(expectedBytes === undefined ? {} : { expectedBytes }) },
  });
  return {
    upload: async (incoming) => void (await uploadData(data, limited(incoming))),
    stage: (incoming) => stageData(data, limited(incoming)),
    open: (image) => openStoredData(data.stores, image),
  };
}
