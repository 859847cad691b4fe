import { randomUUID } from 'node:crypto';
import type { Asker } from './api/api-parts.ts';
import type { ImportCall } from './api/import-call.ts';
import type { Access } from './auth/access.ts';
import type { TaskRecord } from './catalog/task.ts';
import type { Configuration } from './config/load.ts';
import { submitCopy } from './import/copy/submit.ts';
import type { WantedImport } from './import/submit.ts';
import { submitImport } from './import/submit.ts';
import { incomingHoldsOf } from './incoming-data.ts';
import type { WholeService } from './main.ts';
import { findRemote } from './remote-services.ts';

/** Begins the import that a caller asks for; undefined when there is nothing to do. Throws what refuses it. */
export async function submitCall(
  whole: WholeService,
  access: Pick<Access, 'endpoints'>,
  call: ImportCall,
): Promise<TaskRecord | undefined> {
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
    ...(await sourceOf(whole, access, call)),
    ...pluginsFor(configuration, asker),
  });
}

async function sourceOf(
  whole: WholeService,
  access: Pick<Access, 'endpoints'>,
  { image, source }: ImportCall,
): Promise<Pick<WantedImport, 'method' | 'importFrom' | 'remote' | 'node'>> {
  const { parts, configuration } = whole;
  if (source.method === 'web-download') {
    parts.download.check(source.uri);
    return { method: source.method, importFrom: source.uri };
  }
  if (source.method === 'glance-download') {
    const remote = await findRemote(configuration, access, source.remote);
    return { method: source.method, importFrom: remote.url, remote };
  }
  const { stagingScope } = configuration.sharedWork;
  const node = stagingScope === 'node' ? await incomingHoldsOf(whole).nodeOf(image.id) : undefined;
  return {
    method: 'glance-direct',
    importFrom: await parts.uploads.addressOf(image.id),
    ...(node === undefined ? {} : { node }),
  };
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
