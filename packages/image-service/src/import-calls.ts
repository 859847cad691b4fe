import { randomUUID } from 'node:crypto';
import type { Asker } from './api/api-parts.ts';
import type { ImportCall } from './api/import-call.ts';
import type { TaskRecord } from './catalog/task.ts';
import type { Configuration } from './config/load.ts';
import { submitCopy } from './import/copy/submit.ts';
import { stagedPath } from './import/image-data.ts';
import type { WantedImport } from './import/submit.ts';
import { submitImport } from './import/submit.ts';
import type { WholeService } from './main.ts';

/** Begins the import that a caller asks for; undefined when there is nothing to do. Throws what refuses it. */
export async function submitCall(whole: WholeService, call: ImportCall): Promise<TaskRecord | undefined> {
  const { parts, engine, configuration } = whole;
  const { image, source, asker, stores, allStoresMustSucceed, taskInput } = call;
  const common = { taskId: randomUUID(), taskInput, stores, allStoresMustSucceed, asker: askerOf(asker) };
  if (source.method === 'copy-image') {
    const { stores: named, ...rest } = common;
    const which = call.allStores ? ({ allStores: true } as const) : { stores: named };
    return submitCopy(parts, engine, { ...rest, ...which, imageId: image.id });
  }
  return submitImport(parts, engine, {
    ...common,
    taskType: 'api_image_import',
    image: image.id,
    ...(await sourceOf(whole, call)),
    ...pluginsFor(configuration, asker),
  });
}

async function sourceOf(
  { parts }: WholeService,
  { image, source }: ImportCall,
): Promise<Pick<WantedImport, 'method' | 'importFrom'>> {
  if (source.method === 'web-download') {
    parts.download.check(source.uri);
    return { method: source.method, importFrom: source.uri };
  }
  return { method: 'glance-direct', importFrom: await stagedPath(parts.uploads, image.id) };
}

/** What the configured plugins do with an import of this caller. `image_conversion` says it by the format of results. */
function pluginsFor(configuration: Configuration, { roles }: Asker): Pick<WantedImport, 'injected' | 'decompress'> {
  const { imageImportPlugins: plugins } = configuration;
  const injects =
    plugins.includes('inject_image_metadata') && !roles.some((role) => configuration.ignoreUserRoles.includes(role));
  const { decompression } = configuration.imports;
  return {
    ...(injects ? { injected: Object.fromEntries(configuration.injectProperties) } : {}),
    ...(decompression === undefined
      ? {}
      : { decompress: { max_ratio: decompression.maxRatio, max_bytes: decompression.maxBytes } }),
  };
}

/** Who asks, as tasks keep it. */
export function askerOf({ owner, userId, requestId }: Asker): Omit<Asker, 'roles'> {
  return { owner, userId, requestId };
}
