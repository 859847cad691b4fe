import { randomUUID } from 'node:crypto';
import type {
  Asker,
  DataInCall,
  ImageDataRoads,
  ImageRemoval,
  ImportCall,
  ImportRoads,
  PlaceRoads,
  TaskProgress,
} from './api/api-parts.ts';
import type { TaskRecord } from './catalog/task.ts';
import type { JobProgress } from './flow/progress.ts';
import type { DataParts, IncomingData } from './import/image-data.ts';
import { stageData, stagedPath, uploadData } from './import/image-data.ts';
import { addressedPlaces, changePlaces, findPlace, removeFromStore } from './import/image-places.ts';
import { addLocation } from './import/location-flow.ts';
import { recoverImages } from './import/recovery.ts';
import { removeImage } from './import/removal.ts';
import { stageOf } from './import/service.ts';
import { submitImport } from './import/submit.ts';
import { openGuestBytes } from './import/guest-bytes.ts';
import { inspectImage } from './import/inspect-image.ts';
import { openStoredPlace } from './import/stored-data.ts';
import type { WholeService } from './main.ts';

/** What images go through when callers ask for it. */
export interface ImageRoads {
  readonly data: ImageDataRoads;
  readonly removal: ImageRemoval;
  readonly imports: ImportRoads;
  readonly places: PlaceRoads;
  /** Brings images to rest that a death of the process left on their way; before anybody asks for anything. */
  recover(): Promise<void>;
}

/** The roads of one service. */
export function imageRoads(whole: WholeService): ImageRoads {
  const { parts } = whole;
  const removal = {
    ...parts,
    discardStaged: (imageId: string) => parts.uploads.remove(imageId),
    cancelTask: (taskId: string) => whole.engine.cancel(taskId),
  };
  return {
    data: dataRoads(parts, whole),
    imports: importRoads(whole),
    places: placeRoads(whole),
    removal: { remove: (imageId) => removeImage(removal, imageId) },
    recover: () => recoverImages(parts),
  };
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
    open: (image) => openStoredPlace(data.stores, image),
    openAsRaw: (image) => openGuestBytes(data, image),
    inspect: (image) => inspectImage(data, image),
  };
}

function placeRoads({ parts, engine, configuration }: WholeService): PlaceRoads {
  const digests = configuration.limits.doSecureHash ? 'read' : 'trust';
  return {
    addressed: (image) => addressedPlaces(parts.stores, image),
    find: (image, wanted) => findPlace(parts, image, wanted),
    change: (imageId, change) => changePlaces(parts, imageId, change),
    add: async ({ asker, ...call }) =>
      (await addLocation(parts, engine, { ...call, digests, asker: askerOf(asker) })).found,
    removeFrom: async (imageId, storeId) => void (await removeFromStore(parts, imageId, storeId)),
  };
}

function importRoads(whole: WholeService): ImportRoads {
  const { parts, engine, journal } = whole;
  return {
    submit: (call) => submitCall(whole, call),
    submitTask: ({ uri, image, asker, taskInput }) => {
      parts.download.check(uri);
      return submitImport(parts, engine, {
        taskId: randomUUID(),
        taskType: 'import',
        taskInput,
        image,
        importFrom: uri,
        method: 'web-download',
        asker: askerOf(asker),
      });
    },
    cancel: (taskId) => engine.cancel(taskId),
    async progress(taskId) {
      const progress = (await journal.get(taskId))?.progress ?? null;
      return progress === null ? null : progressOf(taskId, progress);
    },
    onProgress: (taskId, listener) =>
      engine.onProgress((id, progress) => {
        if (id === taskId) listener(progressOf(taskId, progress));
      }),
    ended: async (taskId) => void (await engine.wait(taskId)),
  };
}

async function submitCall({ parts, engine, configuration }: WholeService, call: ImportCall): Promise<TaskRecord> {
  const { image, method, uri = '', asker } = call;
  if (method === 'web-download') parts.download.check(uri);
  const injects =
    configuration.imageImportPlugins.includes('inject_image_metadata') &&
    !asker.roles.some((role) => configuration.ignoreUserRoles.includes(role));
  return submitImport(parts, engine, {
    taskId: randomUUID(),
    taskType: 'api_image_import',
    taskInput: call.taskInput,
    image: image.id,
    importFrom: method === 'web-download' ? uri : await stagedPath(parts.uploads, image.id),
    method,
    stores: call.stores,
    allStoresMustSucceed: call.allStoresMustSucceed,
    asker: askerOf(asker),
    ...(injects ? { injected: Object.fromEntries(configuration.injectProperties) } : {}),
  });
}

function askerOf({ owner, userId, requestId }: Asker): Omit<Asker, 'roles'> {
  return { owner, userId, requestId };
}

function progressOf(taskId: string, progress: JobProgress): TaskProgress {
  const { step, at: _at, ...rest } = progress;
  return { ...rest, stage: stageOf(step, taskId) };
}
