import { randomUUID } from 'node:crypto';
import type {
  Asker,
  DataInCall,
  ImageDataRoads,
  ImageRemoval,
  ImportRoads,
  PlaceRoads,
  TaskProgress,
} from './api/api-parts.ts';
import type { Access } from './auth/access.ts';
import type { CacheRoads } from './api/cache.ts';
import type { ImageCache } from './cache/image-cache.ts';
import { cachedImages } from './cached-images.ts';
import type { ImageRecord } from './catalog/image.ts';
import type { JobProgress } from './flow/progress.ts';
import { askerOf, submitCall } from './import-calls.ts';
import type { IncomingData } from './import/image-data.ts';
import { stageData, uploadData } from './import/image-data.ts';
import { addressedPlaces, changePlaces, findPlace, removeFromStore } from './import/image-places.ts';
import { addLocation } from './import/location-flow.ts';
import { removeImage } from './import/removal.ts';
import { stageOf } from './import/service.ts';
import { submitImport } from './import/submit.ts';
import type { ConvertedDownloads, ConvertedParts } from './import/converted/converted-downloads.ts';
import { convertedDownloads } from './import/converted/converted-downloads.ts';
import type { HeldBlobs } from './import/held-blobs.ts';
import { heldBlobs, heldPlace } from './import/held-blobs.ts';
import { submitConversion } from './import/in-place/submit.ts';
import { inspectImage } from './import/inspect-image.ts';
import type { OrphanParts } from './import/orphan-removal.ts';
import { orphanRemoval } from './import/orphan-removal.ts';
import type { StoredPlace } from './import/stored-data.ts';
import { openStoredPlace } from './import/stored-data.ts';
import { changeVerified, hasDigests } from './import/verified-places.ts';
import { uploadConverted, uploadTarget } from './import/upload-converted.ts';
import { incomingHoldsOf, recoverUploads, repeatedRecovery } from './incoming-data.ts';
import type { WholeService } from './main.ts';

/** What images go through when callers ask for it. */
export interface ImageRoads {
  readonly data: ImageDataRoads;
  readonly removal: ImageRemoval;
  readonly imports: ImportRoads;
  readonly places: PlaceRoads;
  /** Undefined: nothing is cached here. */
  readonly cache: CacheRoads | undefined;
  /** Brings images to rest that a death of the process left on their way; before anybody asks for anything. */
  recover(): Promise<void>;
  /** The same again and again where other processes may die, from now until the returned function is called. */
  startRecovery(): () => Promise<void>;
  /** Removes bytes that images gave up, from now until the returned function is called. */
  startRemoval(): () => Promise<void>;
  /** Brings images that wait for it into the cache, from now until the returned function is called. */
  startCaching(): () => Promise<void>;
  /** Forgets what was remembered for callers. */
  close(): Promise<void>;
}

/** What the roads of one service go through besides it. */
export interface RoadParts {
  readonly access?: Pick<Access, 'endpoints'>;
  /** Where downloads are served from; from their stores alone when absent. */
  readonly cache?: ImageCache | undefined;
}

/** The roads of one service. */
export function imageRoads(whole: WholeService, { access = {}, cache }: RoadParts = {}): ImageRoads {
  const { parts } = whole;
  const { catalog, now, log } = parts;
  const held = heldBlobs({ holds: catalog.blobHolds, now, log });
  const openStored = async (image: ImageRecord, prefer?: readonly string[]): Promise<StoredPlace | undefined> =>
    heldPlace(held, await openStoredPlace(parts.stores, image, undefined, prefer));
  const cached = cache === undefined ? undefined : cachedImages({ cache, images: catalog.images, openStored, log });
  const open = cached?.open ?? openStored;
  const converted = downloadsOf(whole, { held, open, openCopy: cached?.openCopy });
  const removal = {
    ...parts,
    discardStaged: (imageId: string) => parts.uploads.remove(imageId),
    cancelTask: (taskId: string) => whole.engine.cancel(taskId),
  };
  return {
    data: dataRoads(whole, { open, converted }),
    cache: cached?.roads,
    imports: importRoads(whole, access),
    places: placeRoads(whole),
    removal: {
      async remove(imageId) {
        await removeImage(removal, imageId);
        await cached?.roads.forget(imageId);
        await converted.forget(imageId);
      },
    },
    recover: () => recoverUploads(whole),
    startRecovery: () => repeatedRecovery(whole),
    startRemoval: () => orphanRemoval(orphanParts(whole, held)),
    startCaching: () => cached?.start() ?? (async () => {}),
    close: () => converted.close(),
  };
}

function orphanParts({ parts, configuration }: WholeService, held: HeldBlobs): OrphanParts {
  const { catalog, stores, now, log } = parts;
  const graceMs = configuration.conversions.replacedDataGrace * 1000;
  return { blobRemovals: catalog.blobRemovals, holds: catalog.blobHolds, held, stores, graceMs, now, log };
}

function downloadsOf(
  { parts, configuration }: WholeService,
  of: Pick<ConvertedParts, 'held' | 'open' | 'openCopy'>,
): ConvertedDownloads {
  const { stores, tools, staging: space, log } = parts;
  const { maxConvertedDownloads: most, downloadPlanLifetime } = configuration.conversions;
  return convertedDownloads({
    ...of,
    stores,
    tools,
    directory: configuration.workDir,
    space,
    most,
    planLifetimeMs: downloadPlanLifetime * 1000,
    stallMs: configuration.uploadStallTimeout * 1000,
    readerStallMs: configuration.noProgressTimeout * 1000,
    log,
  });
}

function dataRoads(
  whole: WholeService,
  { open, converted }: { readonly open: ImageDataRoads['open']; readonly converted: ConvertedDownloads },
): ImageDataRoads {
  const { parts: data, configuration } = whole;
  const holds = incomingHoldsOf(whole);
  const limits = { maxBytes: configuration.imageSizeCap, stallMs: configuration.uploadStallTimeout * 1000 };
  const limited = ({ expectedBytes, ...rest }: DataInCall): IncomingData => ({
    ...rest,
    limits: { ...limits, ...(expectedBytes === undefined ? {} : { expectedBytes }) },
  });
  return {
    upload: (incoming) =>
      holds.during(incoming.imageId, (stillHeld) => upload(whole, { ...limited(incoming), stillHeld }, incoming.asker)),
    stage: (incoming) =>
      holds.during(incoming.imageId, (stillHeld) => stageData(data, { ...limited(incoming), stillHeld }), 'rests'),
    open,
    openConverted: (image, wanted, signal) => converted.open(image, wanted, signal),
    inspect: (image) => inspectImage(data, image),
  };
}

/** Straight into the store, or by a conversion where the configuration wants one. */
async function upload({ parts, engine, configuration }: WholeService, data: IncomingData, asker: Asker): Promise<void> {
  const { conversions, outputFormat: general } = configuration;
  const image = conversions.convertUploads ? await parts.catalog.images.get(data.imageId) : undefined;
  const format = image === undefined ? undefined : uploadTarget(parts, image, { store: data.store, general });
  if (format === undefined) await uploadData(parts, data);
  else await uploadConverted(parts, engine, { data, format, asker: askerOf(asker) });
}

function placeRoads({ parts, engine, configuration }: WholeService): PlaceRoads {
  const digests = configuration.limits.doSecureHash ? 'read' : 'trust';
  return {
    addressed: (image) => addressedPlaces(parts.stores, image),
    find: (image, wanted) => findPlace(parts, image, wanted),
    change: (imageId, change) => changePlaces(parts, imageId, change),
    verifies: (image) => digests === 'read' && hasDigests(image),
    changeVerified: ({ asker, ...call }) => changeVerified(parts, engine, { ...call, asker: askerOf(asker) }),
    add: async ({ asker, ...call }) =>
      (await addLocation(parts, engine, { ...call, digests, asker: askerOf(asker) })).found,
    removeFrom: async (imageId, storeId) => void (await removeFromStore(parts, imageId, storeId)),
  };
}

function importRoads(whole: WholeService, access: Pick<Access, 'endpoints'>): ImportRoads {
  const { parts, engine, journal } = whole;
  return {
    submit: (call) => submitCall(whole, access, call),
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
    convert: ({ asker, ...call }) =>
      submitConversion(parts, engine, { ...call, taskId: randomUUID(), asker: askerOf(asker) }),
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

function progressOf(taskId: string, progress: JobProgress): TaskProgress {
  const { step, at: _at, ...rest } = progress;
  return { ...rest, stage: stageOf(step, taskId) };
}
