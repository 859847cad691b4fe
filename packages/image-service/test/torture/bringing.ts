import type { Answer } from './asking.ts';
import { textOf } from './asking.ts';
import type { ClientParts } from './client.ts';
import { IMPORTED_AS, OTHER_FORMAT, STORES } from './installation.ts';
import type { ImageStory, Record as Happened } from './record.ts';
import { newStory, note } from './record.ts';
import type { Sample } from './samples.ts';

/** Makes an image and gives it data. */
export async function upload(parts: ClientParts): Promise<void> {
  const { ask, chance, shelf, happened } = parts;
  const sample = chance.pick(shelf.samples);
  const story = await create(parts, sample);
  if (story === undefined) return;
  Object.assign(story, { sample, way: 'upload' });
  story.formats.add(sample.diskFormat).add(IMPORTED_AS);
  settle(happened, story, await ask(`PUT /v2/images/${story.id}/file`, { data: sample.bytes }));
}

/** Makes an image, stages data for it and, mostly, has that imported. */
export async function stageAndImport(parts: ClientParts): Promise<void> {
  const { ask, chance, shelf, happened } = parts;
  const sample = chance.pick(shelf.samples);
  const story = await create(parts, sample);
  if (story === undefined) return;
  Object.assign(story, { sample, way: 'stage' });
  if (!settle(happened, story, await ask(`PUT /v2/images/${story.id}/stage`, { data: sample.bytes }))) return;
  if (chance.percent(10)) return;
  await beginImport(parts, story, { name: 'glance-direct' });
}

/** Makes an image and has its data fetched. */
export async function importFromWeb(parts: ClientParts): Promise<void> {
  const sample = parts.chance.pick(parts.shelf.samples);
  const story = await create(parts, sample);
  if (story === undefined) return;
  story.sample = sample;
  await beginImport(parts, story, { name: 'web-download', uri: parts.shelf.urlOf(sample) });
}

async function create({ ask, happened }: ClientParts, sample: Sample): Promise<ImageStory | undefined> {
  const json = { name: sample.name, disk_format: sample.diskFormat, container_format: 'bare' };
  const answer = await ask('POST /v2/images', { json });
  if (answer === undefined) return undefined;
  if (answer.status !== 201) return void happened.violations.push(`POST /v2/images: ${textOf(answer)}`);
  const { id } = JSON.parse(answer.bytes.toString()) as { readonly id: string };
  const story = newStory(id);
  happened.stories.set(id, story);
  note(happened, story, 'created');
  return story;
}

/** Notes what the service said to data or to an import. Another client may have meddled with the image meanwhile. */
function settle(happened: Happened, story: ImageStory, answer: Answer | undefined): boolean {
  if (answer === undefined) {
    note(happened, story, 'lost');
    return false;
  }
  note(happened, story, `answered ${answer.status}`);
  const refused = answer.status >= 400;
  const ends = [...(story.deletion === 'none' ? [] : [404, 409, 410]), ...(story.cancelled ? [409] : [])];
  if (refused && !ends.includes(answer.status)) {
    happened.violations.push(`${story.id}: ${story.events.join(', ')}: ${textOf(answer)}`);
  }
  story.promised = !refused;
  return !refused;
}

async function beginImport(parts: ClientParts, story: ImageStory, method: object): Promise<void> {
  const { ask, chance, happened } = parts;
  const stores = chance.percent(50) ? STORES : [chance.pick(STORES)];
  // Staged data that was promised stays promised when the answer to this is lost.
  const { promised } = story;
  Object.assign(story, { way: promised ? 'stage' : 'import', promised });
  story.formats.add(IMPORTED_AS).add(OTHER_FORMAT);
  const json = { method, stores, all_stores_must_succeed: chance.percent(70) };
  const answer = await ask(`POST /v2/images/${story.id}/import`, { json });
  if (settle(happened, story, answer)) story.way = 'import';
  else if (answer === undefined) story.promised = promised;
  if (answer?.taskId !== undefined) story.tasks.set(answer.taskId, stores);
}
