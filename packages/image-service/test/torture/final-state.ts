import { readFile } from 'node:fs/promises';
import type { Ask } from './client.ts';
import type { Installation } from './installation.ts';
import { STORES } from './installation.ts';
import type { ImageStory, Record as Happened } from './record.ts';
import { sha512 } from './samples.ts';

interface ImageView {
  readonly id: string;
  readonly status: string;
  readonly size: number | null;
  readonly os_hash_value: string | null;
  readonly stores?: string;
  readonly [property: string]: unknown;
}

interface TaskView {
  readonly id: string;
  readonly status: string;
  readonly message: string;
  readonly error_code?: string;
}

/** Everything that is not as it must be when the service has come to rest: one line each. */
export async function findViolations(ask: Ask, installation: Installation, happened: Happened): Promise<string[]> {
  const images = await everyImage(ask);
  const found = [...happened.violations];
  for (const story of happened.stories.values()) {
    const image = images.find(({ id }) => id === story.id);
    for (const wrong of await wrongWith(ask, story, image)) {
      found.push(`image ${story.id} (${image?.status ?? 'gone'}): ${wrong}; ${story.events.join(', ')}`);
    }
  }
  const unknown = images.filter(({ id, status }) => !happened.stories.has(id) && status !== 'queued');
  found.push(...unknown.map(({ id, status }) => `image ${id} is ${status}, and nobody made it`));
  return [...found, ...(await misplacedFiles(installation, images)), ...(await unfinishedTasks(ask))];
}

async function everyImage(ask: Ask): Promise<readonly ImageView[]> {
  const images: ImageView[] = [];
  for (let next: string | undefined = '/v2/images?limit=100'; next !== undefined;) {
    const page: { readonly images: readonly ImageView[]; readonly next?: string } = await read(ask, next);
    images.push(...page.images);
    next = page.next;
  }
  return images;
}

async function read<T>(ask: Ask, path: string): Promise<T> {
  const answer = await ask(`GET ${path}`);
  if (answer?.status !== 200) throw new Error(`GET ${path}: ${answer?.status ?? 'lost'} ${answer?.bytes ?? ''}`);
  return JSON.parse(answer.bytes.toString()) as T;
}

async function wrongWith(ask: Ask, story: ImageStory, image: ImageView | undefined): Promise<readonly string[]> {
  if (image === undefined) return story.deletion === 'none' ? ['it is gone'] : [];
  if (story.deletion === 'promised') return ['it was deleted'];
  const wrong: string[] = [];
  if (image['os_glance_import_task'] !== undefined) wrong.push('its lock is left');
  if (image.status === 'active') return [...wrong, ...(await wrongData(ask, story, image))];
  if (image.status === 'uploading') {
    return story.way === 'stage' && image.size === story.sample?.bytes.length
      ? wrong
      : [...wrong, 'no staged data was promised'];
  }
  if (image.status !== 'queued') return [...wrong, 'it is in no state of rest'];
  const reason = image['os_glance_import_error'];
  // What was lost may never have reached the service.
  const told = reason !== undefined || story.events.includes('lost');
  if (story.way !== undefined && !told) wrong.push('nobody can tell why it is queued');
  if (story.way === 'upload' && story.promised) wrong.push('its data was taken and is gone');
  if (story.way === 'stage' && story.promised && !story.cancelled) wrong.push('its staged data was taken and is gone');
  // A step that is killed ten times is given up: with so many kills that happens.
  const givenUp = String(reason).startsWith('interrupted_too_often: ');
  if (story.way === 'import' && story.promised && !story.cancelled && !givenUp) {
    wrong.push(`its import failed: ${String(reason)}`);
  }
  return wrong;
}

async function wrongData(ask: Ask, story: ImageStory, image: ImageView): Promise<readonly string[]> {
  const { sample } = story;
  if (sample === undefined) return ['nobody gave it data'];
  const stored = await ask(`GET /v2/images/${image.id}/file`);
  const guest = await ask(`GET /v2/images/${image.id}/file?format=raw`);
  if (stored?.status !== 200 || guest?.status !== 200) return [`its data cannot be read: ${stored?.bytes ?? 'lost'}`];
  return [
    ...(stored.bytes.length === image.size ? [] : ['its size is wrong']),
    ...(sha512(stored.bytes) === image.os_hash_value ? [] : ['its hash is wrong']),
    ...(sha512(guest.bytes) === sample.guestSha512 ? [] : ['its disk is another one']),
  ];
}

/** Files that no record names, and records that name no file. */
async function misplacedFiles(installation: Installation, images: readonly ImageView[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const store of STORES) {
    const left = new Set(await installation.stored(store));
    for (const { id, stores, os_hash_value: hash } of images) {
      const names = [...left].filter((name) => name.startsWith(`${id}.`));
      const held = (stores ?? '').split(',').includes(store);
      if (names.length !== (held ? 1 : 0)) found.push(`store ${store} has ${names.length} files of image ${id}`);
      for (const name of names) {
        left.delete(name);
        const bytes = await readFile(installation.storedPath(store, name));
        if (held && sha512(bytes) !== hash) found.push(`store ${store} has other bytes of image ${id}`);
      }
    }
    found.push(...[...left].map((name) => `store ${store} has ${name}, which no image names`));
  }
  const staged = images.filter(({ status }) => status === 'uploading').map(({ id }) => id);
  const unknown = (await installation.unfinished()).filter(
    (path) => !staged.some((id) => path.includes(id)) && !(staged.length > 0 && /^staging\/[^/]+$/.test(path)),
  );
  return [...found, ...unknown.map((path) => `${path} was left`)];
}

async function unfinishedTasks(ask: Ask): Promise<readonly string[]> {
  const { tasks } = await read<{ readonly tasks: readonly TaskView[] }>(ask, '/v2/tasks?limit=1000');
  return tasks.flatMap(({ id, status }) =>
    ['success', 'failure'].includes(status) ? [] : [`task ${id} is ${status}`],
  );
}

/** True when no task is under way, and no image waits for what a dead process was doing. */
export async function isAtRest(ask: Ask): Promise<boolean> {
  if ((await unfinishedTasks(ask)).length > 0) return false;
  const images = await everyImage(ask);
  return images.every(
    ({ status, size }) => !['saving', 'importing'].includes(status) && (status !== 'uploading' || size !== null),
  );
}
