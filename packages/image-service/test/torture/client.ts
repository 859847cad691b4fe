import type { Chance } from './chance.ts';
import { STORES } from './installation.ts';
import type { ImageStory, Record as Happened } from './record.ts';
import { note } from './record.ts';
import type { Sample, SampleShelf } from './samples.ts';
import { sha512 } from './samples.ts';

/** An answer; undefined when the connection was lost. */
export interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  /** The id under which the log has the call. */
  readonly callId: string;
}

/** Asks the service, whichever process is the service now. */
export type Ask = (
  line: string,
  body?: { readonly json: unknown } | { readonly data: Buffer },
) => Promise<Answer | undefined>;

/** An answer in one line. */
function textOf({ status, bytes, callId }: Answer): string {
  return `${status} (${callId}) ${bytes}`;
}

/** What a client works with. */
export interface ClientParts {
  readonly ask: Ask;
  readonly chance: Chance;
  readonly shelf: SampleShelf;
  readonly happened: Happened;
}

/** Does one thing that clients do, chosen at random. */
export async function act(parts: ClientParts): Promise<void> {
  const { chance } = parts;
  const acts: readonly [number, (parts: ClientParts) => Promise<void>][] = [
    [30, upload],
    [22, stageAndImport],
    [18, importFromWeb],
    [10, cancelOne],
    [10, deleteOne],
    [10, downloadOne],
  ];
  let dice = chance.number(100);
  for (const [weight, perform] of acts) {
    if (dice < weight) return perform(parts);
    dice -= weight;
  }
}

async function create({ ask, happened }: ClientParts, sample: Sample): Promise<ImageStory | undefined> {
  const json = { name: sample.name, disk_format: sample.diskFormat, container_format: 'bare' };
  const answer = await ask('POST /v2/images', { json });
  if (answer === undefined) return undefined;
  if (answer.status !== 201) return void happened.violations.push(`POST /v2/images: ${textOf(answer)}`);
  const { id } = JSON.parse(answer.bytes.toString()) as { readonly id: string };
  const story: ImageStory = {
    id,
    sample: undefined,
    way: undefined,
    promised: false,
    cancelled: false,
    deletion: 'none',
    events: [],
  };
  happened.stories.set(id, story);
  note(happened, story, 'created');
  return story;
}

/** Notes what the service said to data or to an import. Another client may have deleted the image meanwhile. */
function settle(happened: Happened, story: ImageStory, answer: Answer | undefined): boolean {
  if (answer === undefined) {
    note(happened, story, 'lost');
    return false;
  }
  note(happened, story, `answered ${answer.status}`);
  const refused = answer.status >= 400;
  const expected = story.deletion !== 'none' && [404, 409, 410].includes(answer.status);
  if (refused && !expected) happened.violations.push(`${story.id}: ${story.events.join(', ')}: ${textOf(answer)}`);
  story.promised = !refused;
  return !refused;
}

async function upload(parts: ClientParts): Promise<void> {
  const { ask, chance, shelf, happened } = parts;
  const sample = chance.pick(shelf.samples);
  const story = await create(parts, sample);
  if (story === undefined) return;
  Object.assign(story, { sample, way: 'upload' });
  settle(happened, story, await ask(`PUT /v2/images/${story.id}/file`, { data: sample.bytes }));
}

async function stageAndImport(parts: ClientParts): Promise<void> {
  const { ask, chance, shelf, happened } = parts;
  const sample = chance.pick(shelf.samples);
  const story = await create(parts, sample);
  if (story === undefined) return;
  Object.assign(story, { sample, way: 'stage' });
  if (!settle(happened, story, await ask(`PUT /v2/images/${story.id}/stage`, { data: sample.bytes }))) return;
  if (chance.percent(10)) return;
  await beginImport(parts, story, { name: 'glance-direct' });
}

async function importFromWeb(parts: ClientParts): Promise<void> {
  const sample = parts.chance.pick(parts.shelf.samples);
  const story = await create(parts, sample);
  if (story === undefined) return;
  story.sample = sample;
  await beginImport(parts, story, { name: 'web-download', uri: parts.shelf.urlOf(sample) });
}

async function beginImport(parts: ClientParts, story: ImageStory, method: object): Promise<void> {
  const { ask, chance, happened } = parts;
  const stores = chance.percent(50) ? STORES : [chance.pick(STORES)];
  // Staged data that was promised stays promised when the answer to this is lost.
  const { promised } = story;
  Object.assign(story, { way: promised ? 'stage' : 'import', promised });
  const answer = await ask(`POST /v2/images/${story.id}/import`, { json: { method, stores } });
  if (settle(happened, story, answer)) story.way = 'import';
  else if (answer === undefined) story.promised = promised;
}

function anyStory({ happened, chance }: ClientParts): ImageStory | undefined {
  const stories = [...happened.stories.values()].filter(({ deletion }) => deletion !== 'promised');
  return stories.length === 0 ? undefined : chance.pick(stories.slice(-RECENT));
}

/** Stories that somebody may still meddle with. */
const RECENT = 12;

async function cancelOne(parts: ClientParts): Promise<void> {
  const story = anyStory(parts);
  if (story === undefined) return;
  const answer = await parts.ask(`GET /v2/images/${story.id}/tasks`);
  if (answer?.status !== 200) return;
  const { tasks } = JSON.parse(answer.bytes.toString()) as { readonly tasks: readonly { readonly id: string }[] };
  for (const { id } of tasks) {
    story.cancelled = true;
    note(parts.happened, story, 'cancelled');
    await parts.ask(`POST /v2/tasks/${id}/actions/cancel`, { json: {} });
  }
}

async function deleteOne(parts: ClientParts): Promise<void> {
  const story = anyStory(parts);
  if (story === undefined) return;
  story.deletion = 'asked';
  note(parts.happened, story, 'delete');
  const answer = await parts.ask(`DELETE /v2/images/${story.id}`);
  if (answer?.status === 204) story.deletion = 'promised';
  if (answer !== undefined && ![204, 404].includes(answer.status)) {
    parts.happened.violations.push(`DELETE ${story.id}: ${textOf(answer)}`);
  }
}

async function downloadOne(parts: ClientParts): Promise<void> {
  const story = anyStory(parts);
  if (story?.sample === undefined) return;
  const answer = await parts.ask(`GET /v2/images/${story.id}/file?format=raw`);
  if (answer?.status !== 200) return;
  note(parts.happened, story, 'downloaded');
  if (sha512(answer.bytes) !== story.sample.guestSha512) {
    parts.happened.violations.push(`${story.id}: wrong bytes: ${story.events.join(', ')}`);
  }
}
