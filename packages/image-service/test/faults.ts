import { ImageError } from '@diskmorph/disk-image';
import type { RawParts } from '../src/main.ts';
import { StoreError } from '../src/store/store.ts';
import { doomed } from './doom.ts';
import type { Doom } from './doom.ts';

/** Where an import is made to fail, and which undoing is made to fail with it. */
export interface Faults {
  readonly failing?: 'stage' | 'inspect' | 'convert' | 'verify' | 'store b' | 'activate';
  readonly stuck?: 'discard' | 'delete';
}

/** The parts with the faults in them: each failing step does its work first, so that there is something to undo. */
export function faultyParts(parts: RawParts, { failing, stuck }: Faults): RawParts {
  const after =
    <Parameters extends unknown[], Result>(name: string, work: (...parameters: Parameters) => Promise<Result>) =>
    async (...parameters: Parameters): Promise<Result> => {
      const result = await work(...parameters);
      if (failing === name) throw new ImageError('corrupt', `${name} fails`);
      return result;
    };
  const { tools, staging } = parts;
  const storeB = parts.stores.get('b');
  const stores = new Map(Array.from(parts.stores, ([id, store]) => [id, { ...store, ...stuckDelete(stuck) }]));
  if (storeB !== undefined) {
    stores.set('b', { ...storeB, ...stuckDelete(stuck), put: after('store b', storeB.put) });
  }
  return {
    ...parts,
    stores,
    tools: {
      ...tools,
      inspect: after('inspect', tools.inspect),
      convert: after('convert', tools.convert),
      verify: after('verify', tools.verify),
    },
    staging: { ...staging, bringIn: after('stage', staging.bringIn), ...stuckDiscard(stuck) },
    catalog: failing === 'activate' ? refusingActivation(parts.catalog) : parts.catalog,
  };
}

function stuckDelete(stuck: Faults['stuck']): Partial<{ delete: () => Promise<void> }> {
  if (stuck !== 'delete') return {};
  return { delete: async () => Promise.reject(new StoreError('io', 'the store does not delete')) };
}

function stuckDiscard(stuck: Faults['stuck']): Partial<{ discard: () => Promise<void> }> {
  if (stuck !== 'discard') return {};
  return { discard: async () => Promise.reject(new ImageError('corrupt', 'nothing can be discarded')) };
}

/** A catalogue in which nothing ever becomes active. */
function refusingActivation(catalog: RawParts['catalog']): RawParts['catalog'] {
  return {
    ...catalog,
    transaction: (work) =>
      catalog.transaction((inside) =>
        work({
          ...inside,
          images: {
            ...inside.images,
            save: (image, changes) =>
              changes.status === 'active'
                ? Promise.reject(new ImageError('corrupt', 'activate fails'))
                : inside.images.save(image, changes),
          },
        }),
      ),
  };
}

/** The parts with a gate before and after everything they do. */
export function gatedParts(parts: RawParts, life: Doom): RawParts {
  const { catalog, stores, staging, tools, journal } = parts;
  const { release, hashed, ...async } = staging;
  const { readable, checkOptions, leastBytes, ...toolWork } = tools;
  return {
    ...parts,
    // A submission and a hold belong to the transaction around them: a process that dies in a transaction is the database's affair.
    journal: { ...doomedAll({ ...journal }, life), submit: journal.submit, hold: journal.hold },
    staging: { ...doomedAll(async, life), release, hashed },
    tools: { ...doomedAll(toolWork, life), readable, checkOptions, leastBytes },
    stores: new Map(
      Array.from(stores, ([id, store]) => {
        const { put, delete: remove, blobsOf, discardUnfinished, clearLeftovers } = store;
        const gated = { put, delete: remove, blobsOf, discardUnfinished, clearLeftovers };
        return [id, { ...store, ...doomedAll(gated, life) }];
      }),
    ),
    catalog: {
      ...catalog,
      ...doomedAll({ transaction: catalog.transaction }, life),
      images: doomedAll({ ...catalog.images }, life),
      tasks: doomedAll({ ...catalog.tasks }, life),
    },
  };
}

function doomedAll<T extends object>(target: T, life: Doom): T {
  const gated = doomed(target, life);
  return Object.fromEntries(Object.keys(target).map((name) => [name, Reflect.get(gated, name)])) as T;
}
