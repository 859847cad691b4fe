import { expect, test } from 'vitest';
import { CatalogError } from '../catalog/errors.ts';
import { concludeImport } from './conclude.ts';
import type { ImportParts } from './stage-context.ts';

const TASK = 'the-task';
const lockedBy = (task: string): object => ({ properties: { os_glance_import_task: task } });
const free = { properties: {} };

test.each([
  { name: 'of an image that the import still holds', image: { status: 'importing', ...lockedBy(TASK) }, goes: true },
  { name: 'of an image that is active', image: { status: 'active', ...free }, goes: true },
  { name: 'of an image that was deleted meanwhile', image: { status: 'deleted', ...lockedBy(TASK) }, goes: true },
  { name: 'of an image that nobody knows any more', image: undefined, goes: true },
  { name: 'of an image that waits for data again', image: { status: 'queued', ...free }, goes: false },
  { name: 'that is coming in after the import', image: { status: 'uploading', ...free }, goes: false },
  { name: 'of the next import', image: { status: 'importing', ...lockedBy('the-next') }, goes: false },
])('the end of an import, come a second time, meets staged data $name: removed: $goes', async ({ image, goes }) => {
  const removed: string[] = [];
  const parts = {
    staging: { remove: async () => {} },
    uploads: { remove: async (id: string) => void removed.push(id) },
    catalog: {
      images: {
        get: async () => {
          if (image === undefined) throw new CatalogError('not_found', 'There is no such image');
          return image;
        },
      },
    },
  } as unknown as ImportParts;
  const state = { image_id: 'the-image', import_method: 'glance-direct' };
  await concludeImport(parts, TASK)({ kind: 'succeeded', state, warnings: [] });
  expect(removed).toEqual(goes ? ['the-image'] : []);
});
