import { textOf } from './asking.ts';
import type { ClientParts } from './client.ts';
import { STORES } from './installation.ts';
import type { ImageStory } from './record.ts';
import { note } from './record.ts';
import { sha512 } from './samples.ts';

/** Stories that somebody may still meddle with. */
const RECENT = 12;
/** What images are converted to in place. */
const TARGETS: readonly string[] = ['raw', 'qcow2', 'vdi'];

function anyStory(
  { happened, chance }: ClientParts,
  isWanted: (story: ImageStory) => boolean = () => true,
): ImageStory | undefined {
  const stories = [...happened.stories.values()].filter((story) => story.deletion !== 'promised' && isWanted(story));
  return stories.length === 0 ? undefined : chance.pick(stories.slice(-RECENT));
}

/** Is there something to read? Staged data is not. */
function hasData({ way, promised }: ImageStory): boolean {
  return promised && way !== 'stage';
}

/** Ends the tasks of an image that still run. */
export async function cancelOne(parts: ClientParts): Promise<void> {
  const story = anyStory(parts);
  if (story === undefined) return;
  const answer = await parts.ask(`GET /v2/images/${story.id}/tasks`);
  if (answer?.status !== 200) return;
  const { tasks } = JSON.parse(answer.bytes.toString()) as { readonly tasks: readonly TaskGlimpse[] };
  for (const { id } of tasks.filter(({ status }) => ['pending', 'processing'].includes(status))) {
    story.cancelled = true;
    note(parts.happened, story, 'cancelled');
    await parts.ask(`POST /v2/tasks/${id}/actions/cancel`, { json: {} });
  }
}

interface TaskGlimpse {
  readonly id: string;
  readonly status: string;
}

/** Deletes an image, whatever is being done with it. */
export async function deleteOne(parts: ClientParts): Promise<void> {
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

/** Reads the guest's disk, in a format that the image has or has not: the bytes must be what they always are. */
export async function downloadOne(parts: ClientParts): Promise<void> {
  const { ask, chance, happened } = parts;
  const story = anyStory(parts, hasData);
  if (story?.sample === undefined) return;
  const form = chance.pick(story.sample.forms);
  const answer = await ask(`GET /v2/images/${story.id}/file?${form.query}`);
  if (answer === undefined) return;
  if (answer.status === 200) {
    note(happened, story, 'downloaded');
    if (form.sha512.includes(sha512(answer.bytes))) return;
    happened.violations.push(`${story.id}: wrong bytes of ${form.query}: ${story.events.join(', ')}`);
  } else if (![204, 404, 409].includes(answer.status)) {
    happened.violations.push(`${story.id} as ${form.query}: ${textOf(answer)}`);
  }
}

/** Converts an image in place; only an active one that no task works on can be. */
export async function convertOne(parts: ClientParts): Promise<void> {
  const { ask, chance, happened } = parts;
  const story = anyStory(parts, hasData);
  if (story === undefined) return;
  const format = chance.pick(TARGETS);
  const answer = await ask(`POST /v2/images/${story.id}/actions/convert`, {
    json: { format, force: chance.percent(20) },
  });
  if (answer === undefined || answer.status === 202) {
    story.formats.add(format);
    note(happened, story, `converted to ${format} ${answer === undefined ? '(lost)' : ''}`);
  } else if (![404, 409].includes(answer.status)) {
    happened.violations.push(`convert ${story.id}: ${textOf(answer)}`);
  }
  if (answer?.taskId !== undefined) story.tasks.set(answer.taskId, []);
}

/** Copies an image into one more store, or all. */
export async function copyOne(parts: ClientParts): Promise<void> {
  const { ask, chance, happened } = parts;
  const story = anyStory(parts, hasData);
  if (story === undefined) return;
  const method = { name: 'copy-image' };
  const where = chance.percent(50) ? { all_stores: true } : { stores: [chance.pick(STORES)] };
  const json = { method, ...where, all_stores_must_succeed: chance.percent(70) };
  const answer = await ask(`POST /v2/images/${story.id}/import`, { json });
  if (answer === undefined || answer.status === 202) note(happened, story, 'copied');
  else if (answer.status === 400 && answer.bytes.includes('already present')) return;
  else if (![404, 409].includes(answer.status)) happened.violations.push(`copy ${story.id}: ${textOf(answer)}`);
  if (answer?.taskId !== undefined) story.tasks.set(answer.taskId, 'stores' in where ? where.stores : STORES);
}
