import { afterEach, expect, test } from 'vitest';
import type { ImageRecord, ImageChanges } from '../src/catalog/image.ts';
import type { RawParts } from '../src/main.ts';
import type { ApiWorld } from './api-world.ts';
import { makeApiWorld } from './api-world.ts';
import { diskBytes } from './world.ts';

const OCTETS = { 'content-type': 'application/octet-stream' };
const DISK = diskBytes();
let world: ApiWorld;
afterEach(() => world.remove());

/** What the driver says of a connection that broke. */
function lostConnection(): Error {
  return new Error('Connection terminated unexpectedly');
}

/** Loses the first answer to a write of an image that is meant; the write itself is done. */
function losingAnswer(isMeant: (changes: ImageChanges) => boolean): (parts: RawParts) => RawParts {
  let lost = false;
  return (parts) => {
    const { images } = parts.catalog;
    const save = async (image: ImageRecord, changes: ImageChanges): Promise<ImageRecord> => {
      const saved = await images.save(image, changes);
      if (lost || !isMeant(changes)) return saved;
      lost = true;
      throw lostConnection();
    };
    return { ...parts, catalog: { ...parts.catalog, images: { ...images, save } } };
  };
}

/** Loses the answer to the first transaction in which a task is recorded; the transaction itself is done. */
function losingTask(parts: RawParts): RawParts {
  let lost = false;
  const transaction: RawParts['catalog']['transaction'] = async (work) => {
    let records = false;
    const result = await parts.catalog.transaction((inside) => {
      const insert: typeof inside.tasks.insert = (task) => {
        records = true;
        return inside.tasks.insert(task);
      };
      return work({ ...inside, tasks: { ...inside.tasks, insert } });
    });
    if (lost || !records) return result;
    lost = true;
    throw lostConnection();
  };
  return { ...parts, catalog: { ...parts.catalog, transaction } };
}

test.each([
  { name: 'an upload', overrides: {}, intercept: losingAnswer(({ status }) => status === 'active') },
  {
    name: 'an upload that is converted',
    overrides: { 'image_conversion.convert_uploads': 'true', 'image_conversion.output_format': 'qcow2' },
    intercept: losingTask,
  },
])('$name keeps its data when the database did what it was asked, and its answer is lost', async (service) => {
  world = await makeApiWorld(service);
  const body = { disk_format: 'raw', container_format: 'bare' };
  const id = String((await world.call('POST /v2/images', { body })).json['id']);
  expect((await world.call(`PUT /v2/images/${id}/file`, { body: DISK, headers: OCTETS })).status).toBe(204);
  expect((await world.call(`GET /v2/images/${id}`)).json).toMatchObject({ status: 'active' });
  const answer = await fetch(`${world.url}/v2/images/${id}/file?format=raw`);
  expect(DISK.equals(Buffer.from(await answer.arrayBuffer()))).toBe(true);
});
